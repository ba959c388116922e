from __future__ import annotations

import pytest

from reconcile_runner.content.variables import Variables, is_template

KNOWN = Variables(
    top=({"kind": "Pod", "nested": {"one": {"two": "deep"}}, "templated": "{{ elsewhere }}"},),
    layers=({"kind": "hidden", "alias": "{{ kind }}", "circle": "{{ circle }}", "number": 3, "things": ["a", "b"]},),
)

TEXTS = [
    ("Pod", "Pod"),
    ("{{ kind }}", "Pod"),
    ("{{kind}}", "Pod"),
    ("{{- kind -}}", "Pod"),
    ("{{ alias }}", "Pod"),
    ("{{ nested.one.two }}", "deep"),
    ("{{ nested['one'].two }}", "deep"),
    ("{{ nested.one.three }}", "{{ nested.one.three }}"),
    ("{{ things }}", ["a", "b"]),
    ("a-{{ kind }}-{{ number }}", "a-Pod-3"),
    ("a-{{ things }}", "a-{{ things }}"),
    ("{{ unknown }}", "{{ unknown }}"),
    ("{{ unknown | default('Job') }}", "Job"),
    ('{{ unknown | default("Job", true) }}', "Job"),
    ("{{ kind | default('Job') }}", "Pod"),
    ("{{ kind | lower }}", "{{ kind | lower }}"),
    ("{{ templated }}", "{{ elsewhere }}"),
    ("{{ lookup('env', 'HOME') }}", "{{ lookup('env', 'HOME') }}"),
]


@pytest.mark.parametrize(("text", "value"), TEXTS, ids=[text for text, _ in TEXTS])
def test_a_reference_is_followed_as_far_as_files_say_it(text: str, value: object) -> None:
    assert KNOWN.resolve(text) == value


def test_references_are_followed_inside_of_data_and_a_circle_ends() -> None:
    assert KNOWN.resolve({"a": ["{{ kind }}", 1, None]}) == {"a": ["Pod", 1, None]}
    assert is_template(str(KNOWN.resolve("{{ circle }}")))


def test_a_variable_that_a_task_sets_is_not_known() -> None:
    KNOWN.assigned.names.add("set")
    assert KNOWN.with_overrides({"set": "x"}).resolve("{{ set }}") == "{{ set }}"


def test_inner_layers_hide_outer_ones_but_not_the_watchs() -> None:
    variables = Variables(top=({"a": "top"},), layers=({"a": "outer", "b": "outer"},))
    inner = variables.with_overrides({"a": "inner", "b": "inner"}).with_defaults({"b": "default", "c": "default"})
    assert inner.resolve("{{ a }} {{ b }} {{ c }}") == "top inner default"
    assert inner.with_loop_item("a", "item").resolve("{{ a }}") == "item"
    assert inner.with_overrides(None) is inner
