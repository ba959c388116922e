"""A run's job events as log lines, one line an event.

A role logs through ``debug`` tasks: the text of each is the message of one line. Values that ``no_log`` hides are
hidden before they come here. The lines, and upstream's for each: docs/reference/logs.md.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from reconcile_runner.execution import failuretext
from reconcile_runner.execution.jobevent import EventKind, JobEvent
from reconcile_runner.logs import LogKey, get_logger
from reconcile_runner.options import LogEvents

_DEBUG_ACTIONS: Final = frozenset({"debug", "ansible.builtin.debug", "ansible.legacy.debug"})
_SILENT_STARTS: Final = _DEBUG_ACTIONS | {"set_fact", "ansible.builtin.set_fact", "ansible.legacy.set_fact"}
"""Tasks whose start is not logged, as upstream: their result is."""

_WITH_OUTPUT: Final = frozenset({LogEvents.OUTPUT, LogEvents.EVERYTHING})
_KEPT_ITEMS: Final = 10
_OF_ANSIBLE: Final = frozenset({"changed", "failed", "skipped"})
_RECAP_WORDS: Final = {
    "ok": "ok",
    "changed": "changed",
    "dark": "unreachable",
    "failures": "failed",
    "skipped": "skipped",
    "rescued": "rescued",
    "ignored": "ignored",
}
"""Ansible's names of the counts, and those that it prints."""

_log = get_logger("role")


@dataclass(frozen=True, slots=True)
class _Line:
    """A log line."""

    message: str
    level: int = logging.INFO
    fields: dict[str, object] = field(default_factory=dict)


class JobLog:
    """Logs the events of one run, as ``--ansible-log-events`` asks for."""

    def __init__(self, level: LogEvents, job: str) -> None:
        self._level = level
        self._log = _log.bind(**{LogKey.JOB.value: job})
        self._failed_items: deque[str] = deque(maxlen=_KEPT_ITEMS)
        self._play: dict[str, object] = {}

    def __call__(self, event: JobEvent) -> None:
        """Log an event, unless its level is off."""
        if self._level is LogEvents.NOTHING:
            return
        if event.kind is EventKind.PLAYBOOK_ON_PLAY_START:
            self._play = {
                "play": event.play,
                "hosts": event.data.get("pattern"),
                "playbook": event.data.get("playbook"),
            }
        line = self._line(event) or self._other_line(event)
        if line is None:
            return
        fields = {**_place(event), **line.fields}
        if self._level in _WITH_OUTPUT and event.stdout:
            fields[LogKey.STDOUT] = failuretext.plain(event.stdout)
        if self._level is LogEvents.EVERYTHING:
            fields[LogKey.EVENT_DATA] = event.data
        self._log.log(line.level, line.message, **{str(key): value for key, value in fields.items()})

    def _line(self, event: JobEvent) -> _Line | None:
        match event.kind:
            case EventKind.PLAYBOOK_ON_TASK_START:
                self._failed_items.clear()
                return None if event.task_action in _SILENT_STARTS else _Line("task started")
            case EventKind.RUNNER_ON_OK if event.task_action in _DEBUG_ACTIONS and "results" not in event.res:
                return _Line(_debug_message(event))
            case EventKind.RUNNER_ITEM_ON_OK if event.task_action in _DEBUG_ACTIONS:
                return _Line(_debug_message(event))
            case EventKind.RUNNER_ITEM_ON_FAILED:
                error = failuretext.of_event(event)
                self._failed_items.append(error)
                return _Line("item failed", fields={LogKey.ITEM: _item(event), LogKey.ERROR: error})
            case EventKind.RUNNER_ON_FAILED | EventKind.RUNNER_ON_UNREACHABLE:
                return self._failure(event)
            case EventKind.PLAYBOOK_ON_NO_HOSTS_MATCHED:
                return _Line("play skipped: no host matches", logging.WARNING, self._play)
            case EventKind.PLAYBOOK_ON_STATS:
                return _Line("play recap", fields={LogKey.RECAP: _recap(event)})
            case _:
                return None

    def _failure(self, event: JobEvent) -> _Line:
        fields: dict[str, object] = {
            LogKey.TASK_PATH: event.task_path,
            LogKey.ERROR: failuretext.of_event(event, list(self._failed_items)),
        }
        if event.ignore_errors:
            return _Line("task failed, which it may", fields=fields)
        # A warning, because a block may rescue it. The controller logs the run's failure as an error.
        return _Line("task failed", logging.WARNING, fields)

    def _other_line(self, event: JobEvent) -> _Line | None:
        match self._level:
            case LogEvents.EVERYTHING:
                return _Line("job event")
            case LogEvents.OUTPUT if event.stdout:
                return _Line("ansible output")
            case _:
                return None


def _place(event: JobEvent) -> dict[str, object]:
    place: dict[str, object] = {LogKey.EVENT_TYPE: event.event}
    return {LogKey.TASK: event.task, **place} if event.task else place


def _debug_message(event: JobEvent) -> str:
    """Return the message of a debug task.

    That is its text, or the variable that it shows, or that this is hidden.
    """
    res = event.res
    if "censored" in res:
        return str(res["censored"])
    if "msg" in res:
        return res["msg"] if isinstance(res["msg"], str) else _as_text(res["msg"])
    loop_variable = res.get("ansible_loop_var", "item")
    shown = {
        name: value
        for name, value in res.items()
        if not name.startswith(("_ansible_", "ansible_")) and name not in _OF_ANSIBLE and name != loop_variable
    }
    if not shown:  # ansible-runner leaves out a result that is too large
        return failuretext.shorten(failuretext.plain(event.stdout).strip())
    return "\n".join(f"{name}: {_as_text(value)}" for name, value in shown.items())


def _as_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _item(event: JobEvent) -> object:
    return event.res.get("_ansible_item_label", "")


def _recap(event: JobEvent) -> dict[str, dict[str, int]]:
    """Return each host's counts that are not zero.

    The words are those of the last lines of Ansible's output.
    """
    recap: dict[str, dict[str, int]] = {}
    for count, by_host in event.data.items():
        if count in _RECAP_WORDS and isinstance(by_host, dict):
            for host, number in by_host.items():
                if isinstance(number, int) and number:
                    recap.setdefault(host, {})[_RECAP_WORDS[count]] = number
    return recap
