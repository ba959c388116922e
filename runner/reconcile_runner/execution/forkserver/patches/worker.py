"""Runs a task in the process of the play, without a forked worker.

A worker is a fork so that tasks of several hosts run in parallel and so that no state of a task is left in the play. A
play with one host needs no parallel tasks. State is kept apart by copies, for tasks whose plugins are known to leave
none: Ansible's own and those of the collections that are loaded ahead. Every other task gets its worker.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from reconcile_runner.execution.forkserver.patches.plugins import OwnPlugins

_WAITING_ACTIONS: Final = frozenset({"add_host", "async_status", "group_by", "pause", "reboot", "wait_for_connection"})
"""Ansible's own actions that wait: for the terminal, for time or, with core 2.21, for an answer of the play."""

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
        with _context(process), _standard_streams(worker), _displayed_by(process._final_q):  # noqa: SLF001
            process._run()  # noqa: SLF001
    finally:
        host.vars, host.groups = variables, groups


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


_queue_of_thread = threading.local()


def _proxy_display_by_thread() -> None:
    """Have Ansible's display send a task's messages in order with its results.

    The messages of a task's thread go to the task's queue.
    """
    from ansible.utils.display import Display  # noqa: PLC0415

    def final_queue(display: Any) -> object:
        return getattr(_queue_of_thread, "queue", None) or vars(display).get("_final_q")

    def set_final_queue(display: Any, queue: object) -> None:
        vars(display)["_final_q"] = queue

    Display._final_q = property(final_queue, set_final_queue)  # noqa: SLF001


@contextlib.contextmanager
def _displayed_by(queue: object) -> Iterator[None]:
    _queue_of_thread.queue = queue
    try:
        yield
    finally:
        _queue_of_thread.queue = None
