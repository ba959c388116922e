"""What a role does and says, as log lines: one an event, in order, as much as was asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from reconcile_runner.execution import failuretext
from reconcile_runner.execution.jobevent import parse_event
from reconcile_runner.options import LogEvents
from reconcile_runner.reconciler.joblog import JobLog
from tests.support.paths import EVENTS


def logged_all(level: LogEvents, *events: dict[str, Any]) -> list[EventDict]:
    with capture_logs() as lines:
        log = JobLog(level, "42")
        for event in events:
            log(parse_event(event))
    return lines


Data = dict[str, Any]


def logged(level: LogEvents, event: str, *, stdout: str = "", **event_data: Any) -> list[EventDict]:
    return logged_all(level, {"event": event, "stdout": stdout, "event_data": event_data})


DEBUG: Data = {"task": "Say", "task_action": "ansible.builtin.debug", "res": {"msg": "pod linked found"}}
FAILED: Data = {"task": "Try", "task_action": "command", "task_path": "/r/main.yml:3", "res": {"msg": "no"}}


def test_a_debug_message_is_the_message_of_its_line() -> None:
    (line,) = logged(LogEvents.TASKS, "runner_on_ok", **DEBUG)
    assert line == {
        "event": "pod linked found",
        "log_level": "info",
        "job": "42",
        "task": "Say",
        "event_type": "runner_on_ok",
    }


@pytest.mark.parametrize(
    ("res", "message"),
    [
        pytest.param({"msg": [1, "ä"]}, '[1, "ä"]', id="a list"),
        pytest.param({"msg": ""}, "", id="an empty text"),
        pytest.param({"foo": {"a": 1}, "changed": False, "_ansible_verbose_always": True}, 'foo: {"a": 1}', id="a var"),
        pytest.param({"item": "one", "ansible_loop_var": "item", "foo": 1}, "foo: 1", id="a var in a loop"),
        pytest.param({"censored": "the output has been hidden"}, "the output has been hidden", id="hidden"),
        pytest.param({}, "ok: [localhost]", id="too large for ansible-runner"),
    ],
)
def test_whatever_a_debug_task_shows_is_the_message(res: dict[str, Any], message: str) -> None:
    (line,) = logged(LogEvents.TASKS, "runner_on_ok", stdout="\x1b[0;32mok: [localhost]\x1b[0m", **DEBUG | {"res": res})
    assert line["event"] == message


def test_a_debug_task_in_a_loop_says_one_line_for_each_item() -> None:
    items = [
        {"event": "runner_item_on_ok", "event_data": DEBUG | {"res": {"msg": word, "ansible_loop_var": "item"}}}
        for word in ("one", "two")
    ]
    end = {"event": "runner_on_ok", "event_data": DEBUG | {"res": {"msg": "All items completed", "results": []}}}
    assert [line["event"] for line in logged_all(LogEvents.TASKS, *items, end)] == ["one", "two"]


def test_the_start_of_a_task_is_said() -> None:
    (line,) = logged(LogEvents.TASKS, "playbook_on_task_start", task="Do", task_action="command")
    assert (line["event"], line["log_level"], line["task"]) == ("task started", "info", "Do")


@pytest.mark.parametrize("action", ["debug", "ansible.builtin.debug", "set_fact", "ansible.builtin.set_fact"])
def test_the_start_of_a_task_that_only_says_or_sets_something_is_not(action: str) -> None:
    assert logged(LogEvents.TASKS, "playbook_on_task_start", task="Do", task_action=action) == []


def test_a_failed_task_is_a_warning_with_place_and_reason() -> None:
    (line,) = logged(LogEvents.TASKS, "runner_on_failed", **FAILED)
    assert (line["event"], line["log_level"]) == ("task failed", "warning")
    assert (line["task"], line["task_path"], line["error"]) == ("Try", "/r/main.yml:3", "no")


def test_a_failed_task_says_what_its_command_said() -> None:
    res = {"msg": "non-zero return code", "stderr": "no such file", "rc": 1}
    (line,) = logged(LogEvents.TASKS, "runner_on_failed", **FAILED | {"res": res})
    assert line["error"] == "non-zero return code: no such file"


def test_a_failure_that_the_task_ignores_is_not_a_warning() -> None:
    (line,) = logged(LogEvents.TASKS, "runner_on_failed", ignore_errors=True, **FAILED)
    assert (line["event"], line["log_level"]) == ("task failed, which it may", "info")


@pytest.mark.parametrize("action", ["command", "set_fact"])
def test_other_results_say_nothing(action: str) -> None:
    assert logged(LogEvents.TASKS, "runner_on_ok", task="Do", task_action=action, res={"msg": "done"}) == []


def test_the_end_of_a_run_is_its_recap() -> None:
    counts: Data = {
        "ok": {"localhost": 2, "other": 1},
        "dark": {"other": 1},
        "failures": {"localhost": 0},
        "rescued": {},
        "processed": {"localhost": 1},
    }
    (line,) = logged(LogEvents.TASKS, "playbook_on_stats", playbook="p.yml", **counts)
    assert line["event"] == "play recap"
    assert line["recap"] == {"localhost": {"ok": 2}, "other": {"ok": 1, "unreachable": 1}}


@pytest.mark.parametrize("event", ["runner_on_failed", "playbook_on_stats", "playbook_on_task_start"])
def test_nothing_means_nothing(event: str) -> None:
    assert logged(LogEvents.NOTHING, event, stdout="text", **FAILED) == []


def test_output_adds_what_ansible_prints_to_the_line_of_each_event() -> None:
    (line,) = logged(LogEvents.OUTPUT, "runner_on_ok", stdout='\x1b[0;32mok: [localhost]\r\n"x"\x1b[0m', **DEBUG)
    assert (line["event"], line["stdout"]) == ("pod linked found", 'ok: [localhost]\n"x"')
    (line,) = logged(LogEvents.OUTPUT, "verbose", stdout="Using /etc/ansible/ansible.cfg as config file")
    assert (line["event"], line["stdout"]) == ("ansible output", "Using /etc/ansible/ansible.cfg as config file")
    assert "task" not in line
    assert logged(LogEvents.OUTPUT, "runner_on_start", task="Do") == []


def test_tasks_have_no_output() -> None:
    (line,) = logged(LogEvents.TASKS, "runner_on_ok", stdout="ok: [localhost]", **DEBUG)
    assert "stdout" not in line


def test_everything_shows_each_event_with_its_data_in_one_line() -> None:
    (line,) = logged(LogEvents.EVERYTHING, "runner_on_start", stdout="", task="Do", host="localhost")
    assert (line["event"], line["event_type"], line["task"]) == ("job event", "runner_on_start", "Do")
    assert line["event_data"] == {"task": "Do", "host": "localhost"}
    (line,) = logged(LogEvents.EVERYTHING, "runner_on_ok", stdout="ok", **DEBUG)
    assert (line["event"], line["stdout"], line["event_data"]) == ("pod linked found", "ok", DEBUG)


def recorded(name: str) -> list[dict[str, Any]]:
    (newest, *_) = sorted(EVENTS.iterdir(), reverse=True)
    return [json.loads(line) for line in (newest / f"{name}.jsonl").read_text().splitlines()]


def test_a_failing_loop_names_its_items_and_then_all_of_them() -> None:
    lines = logged_all(LogEvents.TASKS, *recorded("loop_fails"))
    assert [(line["event"], line.get("item"), line.get("error")) for line in lines] == [
        ("task started", None, None),
        ("item failed", "one", "no one"),
        ("item failed", "three", "no three"),
        ("task failed", None, "One or more items failed: no one; no three"),
        ("play recap", None, None),
    ]


@pytest.mark.parametrize("name", sorted(path.stem for path in EVENTS.glob("2.19/*.jsonl")))
@pytest.mark.parametrize("level", LogEvents)
def test_each_event_is_at_most_one_line_in_order(name: str, level: LogEvents) -> None:
    events = recorded(name)
    lines = logged_all(level, *events)
    assert all(line["job"] == "42" for line in lines)
    kinds = [event["event"] for event in events]
    shown = iter(kinds)
    assert all(line["event_type"] in shown for line in lines), "out of order, or twice"
    if level is LogEvents.EVERYTHING:
        assert [line["event_type"] for line in lines] == kinds
    if level is LogEvents.OUTPUT:
        whole = [failuretext.plain(event["stdout"]) for event in events if event["stdout"]]
        assert [line["stdout"] for line in lines if "stdout" in line] == whole


@pytest.mark.parametrize("level", [LogEvents.TASKS, LogEvents.OUTPUT, LogEvents.EVERYTHING])
def test_what_no_log_hides_is_in_no_line(level: LogEvents) -> None:
    lines = logged_all(level, *recorded("no_log"))
    failed = [line for line in lines if line["event"].startswith("task failed")]
    assert failed
    assert all("hidden due to the fact that 'no_log: true'" in line["error"] for line in failed)
    # What those tasks would have said, each of them with a secret.
    assert "the password is" not in json.dumps(lines, default=str)
