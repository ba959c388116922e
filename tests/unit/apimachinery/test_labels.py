from __future__ import annotations

import pytest

from reconcile_runner.apimachinery.labels import EVERYTHING, LabelSelector, Operator, Requirement

BLUE_OR_GREEN = frozenset({"blue", "green"})


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
