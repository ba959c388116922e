"""Job events: what Ansible says while a run goes on, typed.

``launcherclient`` reads ansible-runner's dictionaries off a launcher's pipe and parses them here; ``result`` folds
the events into a result, and the reconciler's log shows them. Parsing is total: an odd event is an event with empty
fields, never an error. Source of the shape: ansible-runner's ``awx_display`` callback.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any


class EventKind(enum.StrEnum):
    """The events this project knows. ``OTHER`` is any event with another name (``JobEvent.event`` has the name)."""

    PLAYBOOK_ON_START = "playbook_on_start"
    PLAYBOOK_ON_PLAY_START = "playbook_on_play_start"
    PLAYBOOK_ON_TASK_START = "playbook_on_task_start"
    PLAYBOOK_ON_HANDLER_TASK_START = "playbook_on_handler_task_start"
    PLAYBOOK_ON_INCLUDE = "playbook_on_include"
    PLAYBOOK_ON_NOTIFY = "playbook_on_notify"
    PLAYBOOK_ON_NO_HOSTS_MATCHED = "playbook_on_no_hosts_matched"
    PLAYBOOK_ON_NO_HOSTS_REMAINING = "playbook_on_no_hosts_remaining"
    PLAYBOOK_ON_STATS = "playbook_on_stats"
    RUNNER_ON_START = "runner_on_start"
    RUNNER_ON_OK = "runner_on_ok"
    RUNNER_ON_FAILED = "runner_on_failed"
    RUNNER_ON_SKIPPED = "runner_on_skipped"
    RUNNER_ON_UNREACHABLE = "runner_on_unreachable"
    RUNNER_ON_ASYNC_POLL = "runner_on_async_poll"
    RUNNER_ON_ASYNC_OK = "runner_on_async_ok"
    RUNNER_ON_ASYNC_FAILED = "runner_on_async_failed"
    RUNNER_ITEM_ON_OK = "runner_item_on_ok"
    RUNNER_ITEM_ON_FAILED = "runner_item_on_failed"
    RUNNER_ITEM_ON_SKIPPED = "runner_item_on_skipped"
    RUNNER_RETRY = "runner_retry"
    VERBOSE = "verbose"
    DEBUG = "debug"
    DEPRECATED = "deprecated"
    WARNING = "warning"
    SYSTEM_WARNING = "system_warning"
    ERROR = "error"
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> EventKind:  # noqa: ARG003 - the signature is enum's
        return cls.OTHER


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One event of a run. Text is empty where the event has none.

    - ``event``: the name as ansible-runner spells it; ``kind``: the same, typed
    - ``uuid``, ``created`` (ISO 8601, UTC): identity and time
    - ``stdout``: what Ansible printed for it, colours and all
    - ``task``, ``task_action``, ``task_args``, ``task_uuid``, ``play``, ``role``, ``host``: where it comes from;
      ``task_path`` is ``file:line``
    - ``res``: the task's result; empty for events that have none, and where it was too large for ansible-runner
    - ``ignore_errors``: the task says so; ``data``: everything in ``event_data``
    """

    event: str
    kind: EventKind
    uuid: str = ""
    created: str = ""
    stdout: str = ""
    task: str = ""
    task_action: str = ""
    task_args: str = ""
    task_path: str = ""
    task_uuid: str = ""
    play: str = ""
    role: str = ""
    host: str = ""
    res: dict[str, Any] = field(default_factory=dict)
    ignore_errors: bool = False
    data: dict[str, Any] = field(default_factory=dict)


def parse_event(raw: dict[str, Any]) -> JobEvent:
    """Return the typed event of one of ansible-runner's dictionaries. Never raises."""
    data = _mapping(raw.get("event_data"))
    event = _text(raw.get("event"))
    return JobEvent(
        event=event,
        kind=EventKind(event),
        uuid=_text(raw.get("uuid")),
        created=_text(raw.get("created")),
        stdout=_text(raw.get("stdout")),
        task=_text(data.get("task")),
        task_action=_text(data.get("task_action")),
        task_args=_text(data.get("task_args")),
        task_path=_text(data.get("task_path")),
        task_uuid=_text(data.get("task_uuid")),
        play=_text(data.get("play")),
        role=_text(data.get("role")),
        host=_text(data.get("host")),
        res=_mapping(data.get("res")),
        ignore_errors=data.get("ignore_errors") is True,
        data=data,
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
