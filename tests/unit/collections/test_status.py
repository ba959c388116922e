"""A status is merged as RFC 7396 says, and the patch holds what differs and nothing else."""

import importlib
from types import ModuleType
from typing import Any

import pytest

NOW = "2025-06-01T12:00:00Z"

Status = dict[str, Any]


@pytest.fixture
def status() -> ModuleType:
    return importlib.import_module("ansible_collections.reconcile_runner.util.plugins.module_utils.status")


def target(module: ModuleType, current: Status, wanted: Status, **options: object) -> Status:
    settings = {"conditions": None, "replace": False, "replace_lists": True} | options
    result: Status = module.Request(wanted, **settings).target(current, NOW)
    return result


@pytest.mark.parametrize(
    ("current", "wanted", "patch"),
    [
        pytest.param({}, {"happy": True}, {"happy": True}, id="new field"),
        pytest.param({"happy": True}, {"happy": True}, {}, id="same"),
        pytest.param({"happy": 1}, {"happy": True}, {"happy": True}, id="true is not 1"),
        pytest.param({"count": 0}, {"count": False}, {"count": False}, id="false is not 0"),
        pytest.param({"list": [1]}, {"list": [True]}, {"list": [True]}, id="true is not 1 in a list"),
        pytest.param({"ratio": 1}, {"ratio": 1.0}, {}, id="one number, two spellings"),
        pytest.param({"mood": "good", "happy": True}, {"mood": None}, {"mood": None}, id="null removes"),
        pytest.param({"happy": True}, {"mood": None}, {}, id="null for what is not there"),
        pytest.param({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3}}, id="mappings are merged"),
        pytest.param({"a": 1}, {"a": {"b": None, "c": 2}}, {"a": {"c": 2}}, id="nulls do not enter new mappings"),
        pytest.param({"list": [1, 2]}, {"list": [2]}, {"list": [2]}, id="lists are replaced"),
        pytest.param({"list": [1, 2]}, {"list": []}, {"list": []}, id="lists are emptied"),
    ],
)
def test_the_patch_holds_what_differs(status: ModuleType, current: Status, wanted: Status, patch: Status) -> None:
    assert status.merge_patch(current, target(status, current, wanted)) == patch


def test_without_replace_lists_a_list_that_has_all_items_stays(status: ModuleType) -> None:
    current = {"pods": ["a", "b"]}
    assert target(status, current, {"pods": ["b"]}, replace_lists=False) == current
    assert target(status, current, {"pods": ["c"]}, replace_lists=False) == {"pods": ["c"]}


def test_replace_removes_all_that_is_not_given(status: ModuleType) -> None:
    current = {"happy": True, "nested": {"a": 1, "b": 2}, "conditions": [{"type": "Ready", "status": "True"}]}
    wanted = target(status, current, {"nested": {"a": 1}}, replace=True)
    assert wanted == {"nested": {"a": 1}}
    assert status.merge_patch(current, wanted) == {"happy": None, "conditions": None, "nested": {"b": None}}


def test_conditions_are_left_alone_unless_some_are_asked_for(status: ModuleType) -> None:
    current = {"conditions": [{"type": "Ready", "status": "True"}]}
    assert target(status, current, {"happy": True}) == {"happy": True, **current}
    added = target(status, current, {}, conditions=[{"type": "Linked", "status": "True"}])
    assert [condition["type"] for condition in added["conditions"]] == ["Ready", "Linked"]


def test_a_target_shares_nothing_with_what_it_was_made_from(status: ModuleType) -> None:
    current = {"nested": {"list": [{"a": 1}]}}
    wanted = {"other": [{"b": 1}]}
    made = target(status, current, wanted)
    made["nested"]["list"][0]["a"] = 2
    made["other"][0]["b"] = 2
    assert (current, wanted) == ({"nested": {"list": [{"a": 1}]}}, {"other": [{"b": 1}]})


@pytest.mark.parametrize(
    ("patch", "expected"),
    [({"happy": True}, False), ({"a": {"b": {"c": []}}}, True), ({"conditions": [1]}, True), ({"a": None}, False)],
)
def test_a_patch_that_sets_a_list_is_noticed(status: ModuleType, patch: Status, expected: bool) -> None:
    assert status.writes_list(patch) is expected


def test_fields_that_did_not_arrive_are_named(status: ModuleType) -> None:
    patch = {"happy": True, "mood": "good", "gone": None, "a": {"b": 1}, "list": [{"x": 1, "y": 2}]}
    actual = {"happy": True, "a": {}, "list": [{"x": 1}]}
    assert status.missing(patch, actual, "status") == ["status.mood", "status.a.b", "status.list[0].y"]
