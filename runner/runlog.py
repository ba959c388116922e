"""A run's job events as log lines.

``reconciler`` hands a ``RunLog`` to the engine as its listener. A role speaks through ``debug`` tasks: the text of each
is the message of one line. What Ansible hides (``no_log``) arrives hidden already.
"""

from __future__ import annotations

from runner.execution import EventKind, JobEvent
from runner.logs import LogKey, get_logger
from runner.options import LogEvents

_DEBUG_ACTIONS = frozenset({"debug", "ansible.builtin.debug", "ansible.legacy.debug"})

_log = get_logger("role")


class RunLog:
    """Logs the events of one run, as much of them as ``--ansible-log-events`` asks for."""

    def __init__(self, level: LogEvents, job: str) -> None:
        self._level = level
        self._log = _log.bind(**{LogKey.JOB.value: job})

    def __call__(self, event: JobEvent) -> None:
        """Log one event, or not."""
        match self._level:
            case LogEvents.NOTHING:
                return
            case LogEvents.TASKS:
                self._log_task(event)
            case LogEvents.EVERYTHING:
                self._log_task(event)
                self._log.info("job event", event_type=event.event, task=event.task, event_data=event.data)

    def _log_task(self, event: JobEvent) -> None:
        match event.kind:
            case EventKind.RUNNER_ON_OK if event.task_action in _DEBUG_ACTIONS:
                self._log.info(_said(event), **_place(event))
            case EventKind.RUNNER_ON_FAILED | EventKind.RUNNER_ON_UNREACHABLE if event.ignore_errors:
                self._log.info("task failed, which it may", **_place(event), error=_said(event))
            case EventKind.RUNNER_ON_FAILED | EventKind.RUNNER_ON_UNREACHABLE:
                self._log.warning("task failed", **_place(event), task_path=event.task_path, error=_said(event))
            case EventKind.PLAYBOOK_ON_TASK_START:
                self._log.debug("task started", **_place(event))


def _place(event: JobEvent) -> dict[str, str]:
    return {LogKey.TASK.value: event.task, LogKey.EVENT_TYPE.value: event.event}


def _said(event: JobEvent) -> str:
    message = event.res.get("msg", "")
    return message if isinstance(message, str) else str(message)
