from __future__ import annotations

import pytest

from reconcile_runner.apimachinery.labels import (
    EVERYTHING,
    LabelSelector,
    Operator,
    Requirement,
    parse_field_selector,
    parse_label_selector,
)

BLUE_OR_GREEN = frozenset({"blue", "green"})
LABELS = {"app": "web", "tier": "db", "example.com/part": "a.b-c", "empty": ""}


@pytest.mark.parametrize(
    ("operator", "values", "blue", "red", "unlabelled"),
    [
        (Operator.IN, BLUE_OR_GREEN, True, False, False),
        (Operator.NOT_IN, BLUE_OR_GREEN, False, True, True),
        (Operator.EXISTS, frozenset(), True, True, False),
        (Operator.DOES_NOT_EXIST, frozenset(), False, False, True),
    ],
)
def test_operators_mean_what_they_mean_to_the_api_server(
    operator: Operator, values: frozenset[str], blue: bool, red: bool, unlabelled: bool
) -> None:
    requirement = Requirement("colour", operator, values)
    assert requirement.matches({"colour": "blue"}) is blue
    assert requirement.matches({"colour": "red"}) is red
    assert requirement.matches({"size": "big"}) is unlabelled


def test_all_requirements_must_hold() -> None:
    selector = LabelSelector((Requirement("colour", Operator.IN, BLUE_OR_GREEN), Requirement("size", Operator.EXISTS)))
    assert selector.matches({"colour": "blue", "size": "big"})
    assert not selector.matches({"colour": "blue"})
    assert not selector.matches({"size": "big"})


def test_no_requirement_matches_everything() -> None:
    assert EVERYTHING.matches({})
    assert EVERYTHING.matches({"colour": "red"})


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app!=web", False),
        ("other!=web", True),
        ("app", True),
        ("other", False),
        ("!other", True),
        ("! app", False),
        ("app in (web,api)", True),
        ("app in (api)", False),
        ("app notin (api)", True),
        ("other notin (api)", True),
        ("app=web,tier=db", True),
        (" app = web , tier != db ", False),
        ("example.com/part=a.b-c", True),
        ("empty=", True),
        ("empty=,app", True),
        ("app in (web), tier in ( db , x )", True),
        ("app in (,web)", True),
    ],
)
def test_a_label_selector_selects_as_kubernetes_does(text: str, matches: bool) -> None:
    selector = parse_label_selector(text)
    assert selector is not None
    assert selector.matches(LABELS) is matches


@pytest.mark.parametrize(
    "text",
    ["a>1", "a<1", "a=b=c", "a in b", "a in (b", "a b", "=b", ",", "a,", "a,,b", "a in (b c)", "a=b c", "-a=b", "ä=b"],
)
def test_what_is_unusual_or_wrong_is_left_to_the_api_server(text: str) -> None:
    assert parse_label_selector(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("metadata.name=a", {"metadata.name": "a"}),
        ("metadata.name==a,metadata.namespace=b", {"metadata.name": "a", "metadata.namespace": "b"}),
        ("metadata.name=a,metadata.name=a", {"metadata.name": "a"}),
        ("metadata.name=a,metadata.name=b", None),
        ("metadata.name!=a", None),
        ("metadata.name", None),
        ("status.phase=Running", None),
        ("metadata.name=a\\,b", None),
    ],
)
def test_a_field_selector_of_names_is_understood(text: str, expected: dict[str, str] | None) -> None:
    assert parse_field_selector(text) == expected
