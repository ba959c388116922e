"""Which conditions are the operator's, whatever else a role wrote there."""

from __future__ import annotations

from typing import Any

import pytest

from reconcile_runner.apimachinery.conditions import ConditionType, conditions_of, find, is_own, without_own

RUNNING = {"type": "Running", "status": "True", "reason": "Successful"}
READY = {"type": "Ready", "status": "True", "reason": "ReconcileSucceeded"}
STALLED = {"type": "Stalled", "status": "True", "reason": "WaitingForChange"}
THEIRS = {"type": "Ready", "status": "True", "reason": "DatabaseUp"}
HAPPY = {"type": "Happy", "status": "True"}


@pytest.mark.parametrize(
    ("condition", "others", "expected"),
    [
        (RUNNING, [], True),
        (READY, [], True),
        (STALLED, [], True),
        (THEIRS, [RUNNING], False),
        ({**STALLED, "reason": "QuotaExceeded"}, [RUNNING], False),
        (HAPPY, [RUNNING], False),
        ({"type": "Ready", "status": "True"}, [RUNNING], False),
        ({"type": "Ready", "status": "True"}, [{"type": "Running", "status": "True"}], True),
        ({"type": "Ready", "status": "True"}, [], False),
        ({"type": ["Ready"]}, [], False),
        ({"type": "Ready", "reason": {"a": 1}}, [], False),
        ({}, [], False),
    ],
    ids=[
        "Running",
        "Ready",
        "Stalled",
        "a role's Ready",
        "a role's Stalled",
        "another type",
        "no reason where reasons are kept",
        "no reason where none is kept",
        "no reason and nothing known",
        "no type",
        "no text",
        "empty",
    ],
)
def test_a_condition_is_the_operators_or_not(condition: Any, others: list[Any], expected: bool) -> None:
    assert is_own(condition, [*others, condition]) is expected


def test_what_others_wrote_is_left_without_the_operators() -> None:
    assert without_own([RUNNING, HAPPY, READY, STALLED]) == [HAPPY]


@pytest.mark.parametrize("status", [None, "text", [], {"conditions": None}, {"conditions": "text"}], ids=repr)
def test_a_status_full_of_anything_has_no_conditions(status: Any) -> None:
    assert conditions_of({"status": status}) == []


def test_a_condition_is_found_by_its_type() -> None:
    conditions = conditions_of({"status": {"conditions": [1, HAPPY, RUNNING]}})
    assert (find(conditions, ConditionType.RUNNING), find(conditions, ConditionType.READY)) == (RUNNING, None)
