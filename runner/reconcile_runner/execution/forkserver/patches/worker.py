"""Runs a task in the process of the play, without a forked worker.

A worker is a fork so that tasks of several hosts run in parallel and so that no state of a task is left in the play. A
play with one host needs no parallel tasks. State is kept apart by copies, for tasks whose actions are known to leave
none: Ansible's own and those of the collections that are loaded ahead. Every other task gets its worker.

Which filters, tests and lookups a task uses shows when its templates ask for them. Where one is asked for that may
leave something, the task goes on in a fork, before any code of that plugin is loaded: see ``_go_on_in_a_fork``.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing.process
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from reconcile_runner.execution.forkserver.patches.plugins import OwnPlugins

_WAITING_ACTIONS: Final = frozenset({"add_host", "async_status", "group_by", "pause", "reboot", "wait_for_connection"})
"""Ansible's own actions that wait: for the terminal, for time or, with core 2.21, for an answer of the play."""

_HARMLESS_LOOKUPS: Final = frozenset({
    "csvfile", "dict", "env", "file", "fileglob", "first_found", "indexed_items", "ini", "inventory_hostnames", "items",
    "lines", "list", "nested", "pipe", "random_choice", "sequence", "subelements", "template", "together", "varnames",
    "vars",
})  # fmt: skip
"""Ansible's own lookups that leave nothing in the process. ``url``, for one, leaves an opener."""

_ANSIBLES_OWN: Final = frozenset({"", "ansible.builtin", "ansible.legacy"})
_CURRENT_PROCESS: Final = "_current_process"

_NORMAL_ACTION: Final = "ansible.legacy.normal"
"""The action of modules that have none of their own: Ansible's, or one of that name that a role brings."""


def install(plugins: OwnPlugins) -> None:
    """Have this process's forks run tasks of ``plugins`` alone without a worker."""
    from ansible.executor.process import worker  # noqa: PLC0415 - not in the server

    process = worker.WorkerProcess
    ordinary_start = process.start

    def start(self: Any) -> None:
        if needs_worker(self, plugins):
            ordinary_start(self)
        else:
            _run_here(self, worker)

    process.start = start
    _proxy_display_by_thread()
    _watch_plugins_of_templates()


def needs_worker(worker: Any, plugins: OwnPlugins) -> bool:
    """Return whether a task needs a process of its own.

    ``worker`` is Ansible's ``WorkerProcess``.
    """
    task, variables = worker._task, worker._task_vars  # noqa: SLF001 - there are no public names
    return bool(
        len(variables.get("ansible_play_hosts_all", ())) != 1
        or variables.get("ansible_connection") != "local"
        or task.loop is not None
        or task.loop_with
        or task.async_val
        or task.become
        or task.delegate_to
        or task.timeout
        or task.resolved_action is None
        or not plugins.are_alone_in_templates()
        or not _is_known(task, plugins)
    )


def _is_known(task: Any, plugins: OwnPlugins) -> bool:
    """Return whether a task's action is one of ``plugins``.

    It is found as Ansible's ``TaskExecutor`` finds it.
    """
    from ansible import constants  # noqa: PLC0415
    from ansible.plugins.loader import action_loader, module_loader  # noqa: PLC0415

    name = task.resolved_action.rpartition(".")[2]
    if name in _WAITING_ACTIONS or name.partition("_")[0] in constants.NETWORK_GROUP_MODULES:
        return False
    module = module_loader.find_plugin_with_context(task.action, collection_list=task.collections)
    action = module.action_plugin if module.resolved and module.action_plugin else task.action
    found = action_loader.find_plugin(action, collection_list=task.collections) or action_loader.find_plugin(
        _NORMAL_ACTION
    )
    return found is not None and plugins.hold(found)


def _run_here(process: Any, worker: ModuleType) -> None:
    """Run a task as its worker would, on copies of the objects that it changes."""
    host, task = process._host, process._task  # noqa: SLF001
    variables, groups = host.vars, host.groups
    process._task = task.copy(exclude_parent=True, exclude_tasks=True)  # noqa: SLF001
    process._task._parent = task._parent  # noqa: SLF001
    process._task_vars = dict(process._task_vars)  # noqa: SLF001
    try:
        with _context(process), _standard_streams(worker), _of_task(process, worker):
            process._run()  # noqa: SLF001
            if _thread.forked:
                os._exit(0)
    except _Forked:
        pass
    except BaseException:
        if _thread.forked:
            process._hard_exit(traceback.format_exc())  # noqa: SLF001
        raise
    finally:
        host.vars, host.groups = variables, groups


class _Forked(BaseException):
    """The task went on in a fork and has ended there: what is above on the stack has to end here.

    No ``Exception``, so that nobody takes it for a failure of the task.
    """


@dataclass(frozen=True, slots=True)
class _Ended:
    """Takes the place of ``multiprocessing``'s handle of a worker, for Ansible's look at dead workers."""

    returncode: int
    pid: int

    def poll(self) -> int:
        return self.returncode


class _Nowhere:
    """A queue that sends nothing: what a forked task has to send was sent by the fork."""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_arguments, **_named: None


def _go_on_in_a_fork() -> None:
    """Return in a fork of this process, which is the task's worker from now on. Raises ``_Forked`` in this one.

    Unlike a task that is begun again, nothing that it has done is done twice.
    """
    from ansible.utils.display import Display  # noqa: PLC0415

    process, worker = _thread.process, _thread.worker
    with Display()._lock:  # noqa: SLF001 - as ``WorkerProcess.start`` does
        pid = os.fork()
    if pid == 0:
        _thread.process, _thread.forked = None, True
        worker.sys = sys
        setattr(multiprocessing.process, _CURRENT_PROCESS, process)
        process._detach()  # noqa: SLF001
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        return
    _, status = os.waitpid(pid, 0)
    _thread.process, _thread.queue = None, _Nowhere()
    code = os.waitstatus_to_exitcode(status)
    if code:
        process._popen = _Ended(code, pid)  # noqa: SLF001
    raise _Forked


def _watch_plugins_of_templates() -> None:
    """Have the loaders of filters, tests and lookups fork a task before they find a plugin that may leave something."""
    from ansible.plugins import loader  # noqa: PLC0415

    for plugins, leave_nothing in (
        (loader.filter_loader, None),
        (loader.test_loader, None),
        (loader.lookup_loader, _HARMLESS_LOOKUPS),
    ):
        _watch(plugins, leave_nothing)


def _watch(plugins: Any, leave_nothing: frozenset[str] | None) -> None:
    ordinary = plugins.get_with_context

    def get_with_context(name: str, *arguments: Any, **named: Any) -> Any:
        if _thread.process is not None and not leaves_nothing(name, leave_nothing):
            _go_on_in_a_fork()
        return ordinary(name, *arguments, **named)

    plugins.get_with_context = get_with_context


def leaves_nothing(name: str, known: frozenset[str] | None) -> bool:
    """Return whether a plugin is Ansible's own, by its name in a template, and one of ``known`` (None: any).

    Names without a collection are Ansible's where a task runs here: see ``OwnPlugins.are_alone_in_templates``.
    """
    collection, _, plugin = name.rpartition(".")
    return collection in _ANSIBLES_OWN and (known is None or plugin in known)


def _context(process: Any) -> contextlib.AbstractContextManager[object]:
    """Return the context that ``WorkerProcess.run`` sets up around a task.

    ansible-core 2.19 and 2.20 construct it, 2.21 has ``create``.
    """
    from ansible._internal import _task  # noqa: PLC0415

    context: Any = _task.TaskContext
    create: Callable[..., Any] | None = getattr(context, "create", None)
    if create is None:
        made: contextlib.AbstractContextManager[object] = context(process._task)  # noqa: SLF001
    else:
        made = create(task=process._task, task_vars=process._task_vars, host_name=process._host.name)  # noqa: SLF001
    return made


@contextlib.contextmanager
def _standard_streams(worker: ModuleType) -> Iterator[None]:
    """Give the worker's code empty standard streams.

    It looks at them when the task has ended, and the play uses the real ones.
    """
    ordinary = worker.sys
    worker.sys = SimpleNamespace(stdout=io.StringIO(), stderr=io.StringIO())  # type: ignore[attr-defined]
    try:
        yield
    finally:
        worker.sys = ordinary  # type: ignore[attr-defined]


class _Thread(threading.local):
    """What the task that runs here in this thread has: its queue, and its worker as long as it may be forked."""

    queue: object = None
    process: Any = None
    worker: Any = None
    forked: bool = False


_thread = _Thread()


def _proxy_display_by_thread() -> None:
    """Have Ansible's display send a task's messages in order with its results.

    The messages of a task's thread go to the task's queue.
    """
    from ansible.utils.display import Display  # noqa: PLC0415

    def final_queue(display: Any) -> object:
        return _thread.queue or vars(display).get("_final_q")

    def set_final_queue(display: Any, queue: object) -> None:
        vars(display)["_final_q"] = queue

    Display._final_q = property(final_queue, set_final_queue)  # noqa: SLF001


@contextlib.contextmanager
def _of_task(process: Any, worker: ModuleType) -> Iterator[None]:
    """Have this thread's messages and plugins be those of a task."""
    _thread.queue, _thread.process, _thread.worker = process._final_q, process, worker  # noqa: SLF001
    try:
        yield
    finally:
        _thread.queue = _thread.process = _thread.worker = None
