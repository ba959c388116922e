"""An Event counts what is the same, and begins again for what is not."""

import importlib
from types import ModuleType
from typing import Any

import pytest

EARLIER = "2025-05-01T12:00:00Z"
NOW = "2025-06-01T12:00:00Z"
FOO = {"apiVersion": "tutorial.my.domain/v1", "kind": "Foo", "name": "foo-01", "namespace": "default", "uid": "1"}

Event = dict[str, Any]


@pytest.fixture
def event() -> ModuleType:
    return importlib.import_module("ansible_collections.reconcile_runner.util.plugins.module_utils.event")


def body(module: ModuleType, prior: Event | None, **changed: Any) -> Event:
    said: Event = {
        "reason": "BecameHappy",
        "message": "Hello",
        "kind_of_event": "Normal",
        "involved": FOO,
        "origin": {"source": {"component": "foo-operator"}},
    }
    made: Event = module.Occurrence(**(said | changed)).body(prior, NOW)
    return made


def test_the_first_occurrence_says_everything(event: ModuleType) -> None:
    assert body(event, None) == {
        "reason": "BecameHappy",
        "message": "Hello",
        "type": "Normal",
        "count": 1,
        "firstTimestamp": NOW,
        "lastTimestamp": NOW,
        "source": {"component": "foo-operator"},
        "involvedObject": FOO,
    }


@pytest.mark.parametrize(
    ("changed", "count", "first"),
    [
        pytest.param({}, 4, EARLIER, id="the same"),
        pytest.param({"message": "Hello again"}, 4, EARLIER, id="in other words"),
        pytest.param({"involved": {**FOO, "resourceVersion": "9"}}, 4, EARLIER, id="a later version of the object"),
        pytest.param({"involved": {k: v for k, v in FOO.items() if k != "uid"}}, 4, EARLIER, id="uid not known"),
        pytest.param({"reason": "BecameUnhappy"}, 1, NOW, id="another reason"),
        pytest.param({"involved": {**FOO, "uid": "2"}}, 1, NOW, id="the object was made again"),
        pytest.param({"involved": {**FOO, "uid": None, "name": "foo-02"}}, 1, NOW, id="another object"),
        pytest.param({"involved": None}, 1, NOW, id="no object"),
    ],
)
def test_only_what_is_the_same_is_counted(event: ModuleType, changed: Event, count: int, first: str) -> None:
    prior = body(event, None) | {"count": 3, "firstTimestamp": EARLIER, "lastTimestamp": EARLIER}
    made = body(event, prior, **changed)
    assert (made["count"], made["firstTimestamp"], made["lastTimestamp"]) == (count, first, NOW)


def test_an_event_that_somebody_wrote_without_a_count_is_counted_from_here(event: ModuleType) -> None:
    prior = body(event, None) | {"count": None, "firstTimestamp": None}
    made = body(event, prior)
    assert (made["count"], made["firstTimestamp"]) == (1, NOW)


def test_what_is_not_given_is_not_said(event: ModuleType) -> None:
    made = body(event, None, involved=None, origin={})
    assert {"involvedObject", "source", "reportingComponent"}.isdisjoint(made)


def test_a_unique_name_ends_with_the_time_and_is_a_name(event: ModuleType) -> None:
    assert event.unique_name("foo-01", 255) == "foo-01.ff"
    assert len(event.unique_name("f" * 253, 255)) == 253
