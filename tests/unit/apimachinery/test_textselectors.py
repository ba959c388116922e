from __future__ import annotations

import pytest

from reconcile_runner.apimachinery.textselectors import parse_field_selector, parse_label_selector

LABELS = {"app": "web", "tier": "db", "example.com/part": "a.b-c", "empty": ""}


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
