"""What a role does and says, as log lines."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from runner.execution.jobevent import parse_event
from runner.options import LogEvents
from runner.runlog import RunLog


def logged(level: LogEvents, event: str, **event_data: Any) -> list[EventDict]:
    with capture_logs() as lines:
        RunLog(level, "42")(parse_event({"event": event, "event_data": event_data}))
    return lines


DEBUG = {"task": "Say", "task_action": "ansible.builtin.debug", "res": {"msg": "pod linked found"}}
FAILED = {"task": "Try", "task_action": "command", "task_path": "/r/main.yml:3", "res": {"msg": "no"}}


def test_a_debug_message_is_the_message_of_its_line() -> None:
    (line,) = logged(LogEvents.TASKS, "runner_on_ok", **DEBUG)
    assert (line["event"], line["log_level"], line["job"], line["task"]) == ("pod linked found", "info", "42", "Say")


def test_a_debug_message_that_is_no_text_is_shown_all_the_same() -> None:
    (line,) = logged(LogEvents.TASKS, "runner_on_ok", **{**DEBUG, "res": {"msg": [1, 2]}})
    assert line["event"] == "[1, 2]"


def test_a_failed_task_is_a_warning_with_place_and_reason() -> None:
    (line,) = logged(LogEvents.TASKS, "runner_on_failed", **FAILED)
    assert (line["event"], line["log_level"]) == ("task failed", "warning")
    assert (line["task"], line["task_path"], line["error"]) == ("Try", "/r/main.yml:3", "no")


def test_a_failure_that_the_task_ignores_is_not_a_warning() -> None:
    (line,) = logged(LogEvents.TASKS, "runner_on_failed", ignore_errors=True, **FAILED)
    assert (line["event"], line["log_level"]) == ("task failed, which it may", "info")


@pytest.mark.parametrize("action", ["command", "set_fact"])
def test_other_results_say_nothing(action: str) -> None:
    assert logged(LogEvents.TASKS, "runner_on_ok", task="Do", task_action=action, res={"msg": "done"}) == []


def test_nothing_means_nothing() -> None:
    assert logged(LogEvents.NOTHING, "runner_on_failed", **FAILED) == []


def test_everything_shows_each_event_with_its_data() -> None:
    (line,) = logged(LogEvents.EVERYTHING, "playbook_on_stats", ok={"localhost": 1})
    assert (line["event"], line["event_type"]) == ("job event", "playbook_on_stats")
    assert line["event_data"]["ok"] == {"localhost": 1}
