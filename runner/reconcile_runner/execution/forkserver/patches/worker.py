"""Runs a task in the process of the play, without a forked worker.

A worker is a fork so that tasks of several hosts run in parallel and so that no state of a task is left in the play. A
play with one host needs no parallel tasks. State is kept apart by copies, for tasks whose actions are known to leave
none: Ansible's own and those of the collections that are loaded ahead. Every other task gets its worker.

Which other plugins a task uses shows when it asks for them: filters, tests and lookups in its templates, and what its
variables name. Where one is asked for that may leave something, the task goes on in a fork, before any code of that
plugin is loaded: see ``_go_on_in_a_fork``. It does so, too, before it starts a program.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import io
import multiprocessing.process
import os
import signal
import subprocess
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

_HARMLESS: Final = {
    "become": frozenset[str](),
    "connection": frozenset({"local"}),
    "lookup": _HARMLESS_LOOKUPS,
    "shell": frozenset({"sh"}),
}
"""Ansible's own plugins that leave nothing, by kind. Of its filters and tests, none leaves anything."""

_ANSIBLES_OWN: Final = frozenset({"", "ansible.builtin", "ansible.legacy"})
_CURRENT_PROCESS: Final = "_current_process"
_CURRENT_WORKER: Final = "current_worker"

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
    _watch_plugins(plugins)
    _watch_programs()
    _stop_what_has_left()


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
        or not plugins.are_alone_in_tasks()
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
    host, task, queue = process._host, process._task, process._final_q  # noqa: SLF001
    variables, groups, current = host.vars, host.groups, worker.current_worker
    process._task = task.copy(exclude_parent=True, exclude_tasks=True)  # noqa: SLF001
    process._task._parent = task._parent  # noqa: SLF001
    process._task_vars = dict(process._task_vars)  # noqa: SLF001
    process._final_q = _Queue(queue)  # noqa: SLF001
    try:
        with _context(process), _standard_streams(worker), _of_task(process, worker):
            _run(process)
    finally:
        host.vars, host.groups = variables, groups
        setattr(worker, _CURRENT_WORKER, current)


def _run(process: Any) -> None:
    try:
        process._run()  # noqa: SLF001
        if _thread.place is _Place.FORK:
            os._exit(0)
    except BaseException:
        if _thread.place is _Place.FORK:
            process._hard_exit(traceback.format_exc())  # noqa: SLF001
        if _thread.place is _Place.PLAY:
            raise


class _ForkedError(BaseException):
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


class _Queue:
    """The play's queue, for as long as the task is in this process."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def __getattr__(self, name: str) -> Any:
        return _do_nothing if _thread.place is _Place.LEFT else getattr(self._queue, name)


def _do_nothing(*_arguments: object, **_named: object) -> None:
    pass


def _go_on_in_a_fork() -> None:
    """Return in a fork of this process, which is the task's worker from now on. Raises ``_ForkedError`` in this one.

    Unlike a task that is begun again, nothing that it has done is done twice.
    """
    from ansible.utils.display import Display  # noqa: PLC0415

    process, worker = _thread.process, _thread.worker
    with Display()._lock:  # noqa: SLF001 - as ``WorkerProcess.start`` does
        pid = os.fork()
    if pid == 0:
        _thread.place = _Place.FORK
        worker.sys = sys
        setattr(multiprocessing.process, _CURRENT_PROCESS, process)
        process._detach()  # noqa: SLF001
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        return
    _, status = os.waitpid(pid, 0)
    _thread.place = _Place.LEFT
    code = os.waitstatus_to_exitcode(status)
    if code:
        process._popen = _Ended(code, pid)  # noqa: SLF001
    raise _ForkedError


def _stop_what_has_left() -> None:
    """Have nothing more done here for a task that has ended in a fork.

    Its blocks of ``finally`` are left to run, and what they raise may be handled as if the task had failed.
    """
    from ansible.plugins.action import ActionBase  # noqa: PLC0415

    for name in ("_low_level_execute_command", "_transfer_file"):
        setattr(ActionBase, name, _stopped(getattr(ActionBase, name)))


def _stopped(ordinary: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(ordinary)
    def unless_it_has_left(*arguments: Any, **named: Any) -> Any:
        _stop_if_it_has_left()
        return ordinary(*arguments, **named)

    return unless_it_has_left


def _stop_if_it_has_left() -> None:
    if _thread.place is _Place.LEFT:
        raise _ForkedError


def _watch_plugins(plugins: OwnPlugins) -> None:
    """Have Ansible's loaders fork a task before they load a plugin that may leave something."""
    from ansible.plugins import loader  # noqa: PLC0415

    for kind, names in _HARMLESS.items():
        _watch(getattr(loader, f"{kind}_loader"), functools.partial(leaves_nothing, known=names))
    for kind in ("filter", "test"):
        _watch(getattr(loader, f"{kind}_loader"), functools.partial(_is_of_ansible, kind))

    for kind in ("action", "vars"):
        each = getattr(loader, f"{kind}_loader")
        _watch(each, functools.partial(_is_below, plugins, each))


def _is_below(plugins: OwnPlugins, loader: Any, name: str) -> bool:
    found = loader.find_plugin(name)
    return found is None or plugins.hold(found)


def _watch_programs() -> None:
    """Fork a task before it starts a program, which would have the play's terminal and streams, as no worker's has."""
    ordinary: Callable[..., None] = subprocess.Popen.__init__

    @functools.wraps(ordinary)
    def start(self: object, *arguments: Any, **named: Any) -> None:
        _stop_if_it_has_left()
        if _thread.place is _Place.PLAY:
            _go_on_in_a_fork()
        ordinary(self, *arguments, **named)

    setattr(subprocess.Popen, "__init__", start)  # noqa: B010 - a type checker takes it for a mistake


def _watch(plugins: Any, is_harmless: Callable[[str], bool]) -> None:
    ordinary = plugins.get_with_context

    def get_with_context(name: str, *arguments: Any, **named: Any) -> Any:
        _stop_if_it_has_left()
        if _thread.place is _Place.PLAY and not is_harmless(name):
            _go_on_in_a_fork()
        return ordinary(name, *arguments, **named)

    plugins.get_with_context = get_with_context


def leaves_nothing(name: str, known: frozenset[str] | None) -> bool:
    """Return whether a plugin is Ansible's own, by the name that is asked for, and one of ``known`` (None: any).

    Names without a collection are Ansible's where a task runs here: see ``OwnPlugins.are_alone_in_tasks``.
    """
    collection, _, plugin = name.rpartition(".")
    return collection in _ANSIBLES_OWN and (known is None or plugin in known)


def _is_of_ansible(kind: str, name: str) -> bool:
    """Return whether a filter or test is Ansible's own, and not one that a collection has taken over under its name."""
    from ansible.utils.collection_loader._collection_finder import _get_collection_metadata  # noqa: PLC0415

    routes = _get_collection_metadata("ansible.builtin").get("plugin_routing", {}).get(kind, {})
    return leaves_nothing(name, None) and "redirect" not in routes.get(name.rpartition(".")[2], {})


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


class _Place(enum.Enum):
    """Where the task that this thread has begun is."""

    PLAY = enum.auto()
    FORK = enum.auto()
    LEFT = enum.auto()
    """This is the play, and the task has ended in a fork."""


class _Thread(threading.local):
    """What a thread has of the task that it runs in the play: nothing, if it runs none."""

    place: _Place | None = None
    queue: object = None
    process: Any = None
    worker: Any = None


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
    _thread.place, _thread.process, _thread.worker = _Place.PLAY, process, worker
    _thread.queue = process._final_q  # noqa: SLF001
    try:
        yield
    finally:
        _thread.place = _thread.queue = _thread.process = _thread.worker = None
