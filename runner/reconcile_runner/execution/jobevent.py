"""Job events: ansible-runner's events of a running job, typed.

Parsing never fails: a malformed event has empty fields. Source of the format: ansible-runner's
``display_callback/callback/awx_display.py``.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any


class EventKind(enum.StrEnum):
    """The events that the operator uses.

    ``OTHER`` is any other event; ``JobEvent.event`` has its name.
    """

    PLAYBOOK_ON_PLAY_START = "playbook_on_play_start"
    PLAYBOOK_ON_NO_HOSTS_MATCHED = "playbook_on_no_hosts_matched"
    PLAYBOOK_ON_TASK_START = "playbook_on_task_start"
    PLAYBOOK_ON_STATS = "playbook_on_stats"
    RUNNER_ON_OK = "runner_on_ok"
    RUNNER_ON_FAILED = "runner_on_failed"
    RUNNER_ON_UNREACHABLE = "runner_on_unreachable"
    RUNNER_ITEM_ON_OK = "runner_item_on_ok"
    RUNNER_ITEM_ON_FAILED = "runner_item_on_failed"
    VERBOSE = "verbose"
    ERROR = "error"
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> EventKind:  # noqa: ARG003 - the signature is enum's
        return cls.OTHER


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One event of a run. A text is empty if the event has none.

    - ``event``: the name as ansible-runner spells it; ``kind``: the same, typed
    - ``uuid``: the event's id
    - ``stdout``: what Ansible printed for it, with colours
    - ``task``, ``task_action``, ``play``, ``role``, ``host``: where it comes from; ``task_path`` is ``file:line``
    - ``res``: the task's result; empty if the event has none or it was too large for ansible-runner
    - ``ignore_errors``: the task's ``ignore_errors``
    - ``data``: everything in ``event_data``
    """

    event: str
    kind: EventKind
    uuid: str = ""
    stdout: str = ""
    task: str = ""
    task_action: str = ""
    task_path: str = ""
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
        stdout=_text(raw.get("stdout")),
        task=_text(data.get("task")),
        task_action=_text(data.get("task_action")),
        task_path=_text(data.get("task_path")),
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
