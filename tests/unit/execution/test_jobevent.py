from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import ansible_runner
import orjson
import pytest

from reconcile_runner.execution.jobevent import EventKind, JobEvent, parse_event
from tests.support.paths import EVENTS


def recorded(path: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (EVENTS / path).read_bytes().splitlines()]


def test_a_real_event_is_parsed_whole() -> None:
    (raw,) = (event for event in recorded("2.21/failed.jsonl") if event["event"] == "runner_on_failed")
    event = parse_event(raw)
    assert event.kind is EventKind.RUNNER_ON_FAILED
    assert (event.task, event.task_action) == ("Give up", "ansible.builtin.fail")
    assert event.task_path == "/project/tests/testdata/projects/failed.yml:8"
    assert (event.play, event.host, event.role) == ("Fail", "localhost", "")
    assert event.res["msg"] == "there is no friend"
    assert event.ignore_errors is False
    assert event.uuid
    assert event.stdout
    assert event.data == raw["event_data"]


def test_recorded_events_are_of_the_kind_of_their_name() -> None:
    names, seen = {kind.value for kind in EventKind}, set()
    for path in EVENTS.glob("*/*.jsonl"):
        for raw in recorded(f"{path.parent.name}/{path.name}"):
            event = parse_event(raw)
            assert event.kind.value == (raw["event"] if raw["event"] in names else "other")
            seen.add(event.kind)
    never_recorded = {"runner_item_on_ok", "error", "playbook_on_no_hosts_matched"}
    assert names - {kind.value for kind in seen} == never_recorded


@pytest.mark.parametrize("kind", [kind for kind in EventKind if kind is not EventKind.OTHER])
def test_every_kind_is_one_of_ansible_runners(kind: EventKind) -> None:
    sources = ("display_callback/callback/awx_display.py", "utils/__init__.py")
    text = "".join((Path(ansible_runner.__file__).parent / name).read_text() for name in sources)
    assert re.search(rf"['\"]{kind}['\"]", text)


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"event": None, "event_data": None, "uuid": 1, "stdout": []},
        {"event": 7, "event_data": "text"},
        {"event": ["runner_on_ok"], "event_data": []},
        {
            "event": "runner_on_ok",
            "event_data": {"res": "text", "task": {"a": 1}, "host": None, "ignore_errors": "yes"},
        },
        {"event": "invented_by_a_new_core", "event_data": {"res": {}}},
    ],
    ids=repr,
)
def test_an_odd_event_has_empty_fields_and_is_no_error(raw: dict[str, Any]) -> None:
    event = parse_event(raw)
    assert event.res == {}
    assert event.task == ""
    assert event.ignore_errors is False


def test_an_unknown_event_keeps_its_name() -> None:
    assert parse_event({"event": "invented"}) == JobEvent("invented", EventKind.OTHER)
