"""How the end-to-end tests see that one object was run for twice at a time: from logs, and from when processes died."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.killing import Death, overlaps
from tests.e2e.podlogs import ProcessLog


def at(second: int) -> datetime:
    return datetime(2026, 1, 1, 12, 0, second, tzinfo=UTC)


def line(second: int, message: str, reconcile_id: str, name: str = "foo-1") -> dict[str, Any]:
    place = {"gvk": "g/v1, Kind=Foo", "namespace": "n", "name": name}
    return {"ts": at(second).isoformat(), "msg": message, "reconcile_id": reconcile_id, **place}


def process(pod: str, began: int, *lines: dict[str, Any]) -> ProcessLog:
    return ProcessLog(pod, at(began).isoformat(), list(lines))


def run(start: int, end: int, reconcile_id: str, name: str = "foo-1") -> list[dict[str, Any]]:
    return [line(start, "reconciling", reconcile_id, name), line(end, "reconciled", reconcile_id, name)]


def test_runs_of_one_object_one_after_the_other_are_right_whoever_runs_them() -> None:
    one = process("a", 0, *run(1, 2, "r1"), *run(3, 4, "r2"))
    assert overlaps([one, process("b", 0, *run(5, 6, "r3"))], []) == []


def test_runs_of_two_objects_at_a_time_are_right() -> None:
    assert overlaps([process("a", 0, *run(1, 9, "r1"), *run(2, 3, "r2", "foo-2"))], []) == []


def test_a_run_that_begins_before_another_of_the_object_has_ended_is_found() -> None:
    found = overlaps([process("a", 0, *run(1, 5, "r1")), process("b", 0, *run(4, 6, "r2"))], [])
    assert [text.split(":")[0] for text in found] == ["g/v1, Kind=Foo n/foo-1"]


@pytest.mark.parametrize(("seen", "count"), [(3, 0), (5, 1)])
def test_a_run_that_was_cut_off_ends_when_its_process_was_seen_to_be_gone(seen: int, count: int) -> None:
    killed = process("a", 0, line(1, "reconciling", "r1"))
    successor = process("b", 0, *run(4, 6, "r2"))
    assert len(overlaps([killed, successor], [Death("a", at(seen), "a_1")])) == count


def test_the_next_death_after_its_start_is_the_one_that_cut_a_run_off() -> None:
    killed = process("a", 5, line(6, "reconciling", "r1"))
    deaths = [Death("a", at(3), ""), Death("b", at(7), ""), Death("a", at(9), "a_2")]
    assert len(overlaps([killed, process("b", 0, *run(8, 9, "r2"))], deaths)) == 1
    assert overlaps([killed, process("b", 0, *run(10, 11, "r2"))], deaths) == []
