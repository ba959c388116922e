"""Conditions are checked with errors that name their place, and merged by type."""

import importlib
from types import ModuleType
from typing import Any

import pytest

NOW = "2025-06-01T12:00:00Z"
EARLIER = "2025-05-01T12:00:00Z"

Condition = dict[str, Any]


@pytest.fixture
def conditions() -> ModuleType:
    return importlib.import_module("ansible_collections.reconcile_runner.util.plugins.module_utils.conditions")


def condition(**fields: object) -> Condition:
    return {"type": "Ready", "status": "True", **fields}


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        pytest.param("Ready", "conditions: expected a list of conditions, found 'Ready'", id="no list"),
        pytest.param({"type": "Ready"}, "conditions: expected a list of conditions, found a mapping", id="mapping"),
        pytest.param(["Ready"], "conditions[0]: expected a mapping, found 'Ready'", id="no mapping"),
        pytest.param([{"status": "True"}], "conditions[0].type: expected a word such as Ready", id="no type"),
        pytest.param([condition(type=3)], "conditions[0].type: expected a word such as Ready, found 3", id="type"),
        pytest.param(
            [{"type": "Ready"}], "conditions[0].status: expected one of True, False, Unknown, found nothing", id="none"
        ),
        pytest.param([condition(status="true")], "found 'true'", id="lower case status"),
        pytest.param([condition(status=[])], "conditions[0].status: expected one of", id="list as status"),
        pytest.param(
            [condition(reason="two words")],
            "conditions[0].reason: expected a single CamelCase word, found 'two words'",
            id="reason",
        ),
        pytest.param([condition(reason=7)], "conditions[0].reason", id="number as reason"),
        pytest.param(
            [condition(lastTransitionTime="yesterday")],
            "conditions[0].lastTransitionTime: expected an RFC 3339 time such as 2025-01-31T12:00:00Z, found 'yest",
            id="time",
        ),
        pytest.param([condition(lastTransitionTime="2025-02-30T00:00:00Z")], "lastTransitionTime", id="no such day"),
        pytest.param([condition(lastTransitionTime="2025-02-03T00:00:00")], "lastTransitionTime", id="no time zone"),
        pytest.param([condition(), condition()], "conditions[1].type: 'Ready' is there twice", id="twice"),
        pytest.param([condition(color="red")], "found 'color'", id="unknown field"),
    ],
)
def test_a_wrong_condition_is_named_with_its_place(conditions: ModuleType, given: object, complaint: str) -> None:
    with pytest.raises(conditions.ConditionError) as caught:
        conditions.normalise(given, "conditions", other_fields=False)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(condition(reason=""), id="no reason, as the operator writes it"),
        pytest.param(condition(reason="Http404"), id="digits"),
        pytest.param(condition(reason="bar"), id="lower case, as upstream accepts it"),
        pytest.param(condition(lastTransitionTime="2025-01-31T12:00:00.123456+02:00"), id="fraction and offset"),
        pytest.param(condition(observedGeneration=3, lastHeartbeatTime=NOW, message="Fine."), id="all fields"),
    ],
)
def test_a_right_condition_passes_unchanged(conditions: ModuleType, given: Condition) -> None:
    assert conditions.normalise([given], "conditions", other_fields=False) == [given]


def test_a_boolean_status_becomes_its_word_and_the_arguments_stay_as_they_are(conditions: ModuleType) -> None:
    given = [condition(status=False)]
    assert conditions.normalise(given, "conditions", other_fields=False) == [condition(status="False")]
    assert given == [condition(status=False)]


@pytest.mark.parametrize("field", ["lastTransitionTime", "lastHeartbeatTime"])
@pytest.mark.parametrize(
    ("given", "written"),
    [
        pytest.param("2026-01-02 03:04:05+01:00", "2026-01-02T03:04:05+01:00", id="as date --rfc-3339=seconds"),
        pytest.param("2026-01-02 03:04:05.123+01:00", "2026-01-02T03:04:05.123+01:00", id="as date --rfc-3339=ns"),
        pytest.param("2026-01-02T03:04Z", "2026-01-02T03:04:00Z", id="no seconds"),
        pytest.param("2026-01-02 03:04-03:30", "2026-01-02T03:04:00-03:30", id="blank and no seconds"),
        pytest.param("2026-01-02t03:04:05z", "2026-01-02T03:04:05Z", id="small letters"),
    ],
)
def test_a_time_is_taken_as_upstream_takes_it_and_written_well(
    conditions: ModuleType, field: str, given: str, written: str
) -> None:
    [got] = conditions.normalise([condition(**{field: given})], "conditions", other_fields=False)
    assert got == condition(**{field: written})


def test_a_heartbeat_that_upstream_would_not_look_at_is_left_to_the_api_server(conditions: ModuleType) -> None:
    given = [condition(lastHeartbeatTime="yesterday")]
    assert conditions.normalise(given, "conditions", other_fields=False) == given


def test_what_has_no_value_is_left_out(conditions: ModuleType) -> None:
    empty = condition(reason=None, message=None, lastTransitionTime="", lastHeartbeatTime=None)
    assert conditions.normalise([empty], "conditions", other_fields=False) == [condition()]


def test_other_fields_pass_where_they_are_allowed(conditions: ModuleType) -> None:
    given = [condition(ansibleResult={"ok": 1})]
    assert conditions.normalise(given, "status.conditions", other_fields=True) == given


def test_a_condition_takes_the_place_of_its_type_and_others_stay_untouched(conditions: ModuleType) -> None:
    foreign = {"type": "Running", "status": "True", "ansibleResult": {"ok": 3}, "lastTransitionTime": EARLIER}
    current = [condition(lastTransitionTime=EARLIER, message="old"), foreign]
    merged = conditions.merge(current, [condition(message="new"), condition(type="Other")], NOW)
    assert merged == [
        condition(lastTransitionTime=EARLIER, message="new"),
        foreign,
        condition(type="Other", lastTransitionTime=NOW),
    ]


@pytest.mark.parametrize(
    ("before", "wanted", "expected"),
    [
        pytest.param("True", {}, EARLIER, id="same status keeps the time"),
        pytest.param("True", {"lastTransitionTime": NOW}, EARLIER, id="same status ignores the task's time"),
        pytest.param("False", {}, NOW, id="changed status sets the present time"),
        pytest.param("False", {"lastTransitionTime": "2025-05-15T00:00:00Z"}, "2025-05-15T00:00:00Z", id="task's time"),
    ],
)
def test_the_transition_time_changes_only_with_the_status(
    conditions: ModuleType, before: str, wanted: Condition, expected: str
) -> None:
    current = [condition(status=before, lastTransitionTime=EARLIER)]
    assert conditions.merge(current, [condition(**wanted)], NOW)[0]["lastTransitionTime"] == expected
    assert conditions.replace(current, [condition(**wanted)], NOW)[0]["lastTransitionTime"] == expected


def test_replace_drops_the_others(conditions: ModuleType) -> None:
    current = [condition(type="Running"), condition(lastTransitionTime=EARLIER)]
    assert conditions.replace(current, [condition()], NOW) == [condition(lastTransitionTime=EARLIER)]
