"""Annotations, name by name (compat 1.5, and the project's own two)."""

from __future__ import annotations

import pytest

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.watches.annotations import (
    AnnotationSettings,
    asks_for_a_run,
    parse_annotations,
)

UPSTREAM = "ansible.sdk.operatorframework.io"


def annotated(**annotations: str) -> KubeObject:
    names = {"period": f"{UPSTREAM}/reconcile-period", "artifacts": f"{UPSTREAM}/max-runner-artifacts"}
    names |= {"verbosity": f"{UPSTREAM}/verbosity", "now": "reconcile-runner/reconcile-now"}
    names |= {"paused": "reconcile-runner/paused", "dead": "ansible.operator-sdk/verbosity"}
    return {"metadata": {"name": "a", "annotations": {names[name]: text for name, text in annotations.items()}}}


def test_without_annotations_nothing_is_set() -> None:
    assert parse_annotations({"metadata": {"name": "a"}}) == AnnotationSettings()
    assert not AnnotationSettings().is_paused


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (annotated(artifacts="3"), AnnotationSettings(max_artifacts=3)),
        (annotated(artifacts="100"), AnnotationSettings(max_artifacts=100)),
        (annotated(verbosity="4"), AnnotationSettings(verbosity=4)),
    ],
    ids=["artifacts", "as many as there may be", "verbosity"],
)
def test_upstreams_numbers_are_read(obj: KubeObject, expected: AnnotationSettings) -> None:
    assert parse_annotations(obj) == expected


@pytest.mark.parametrize(
    "obj", [annotated(artifacts="many"), annotated(artifacts="-1"), annotated(verbosity="8"), annotated(verbosity="²")]
)
def test_a_number_that_is_none_is_ignored_with_a_warning(obj: KubeObject) -> None:
    read = parse_annotations(obj)
    assert (read.max_artifacts, read.verbosity) == (None, None)
    (warning,) = read.warnings
    assert warning.endswith("it is ignored")


@pytest.mark.parametrize("text", ["soon", "5", "-1s", ""])
def test_a_period_that_is_none_is_an_error_that_names_the_annotation(text: str) -> None:
    read = parse_annotations(annotated(period=text))
    assert read.error.startswith(f"annotation {UPSTREAM}/reconcile-period: found '{text}', expected")
    assert read.reconcile_period is None


@pytest.mark.parametrize(
    ("obj", "expected"), [(annotated(period="1m30s"), 90.0), (annotated(period="0s"), 0.0), ({}, None)]
)
def test_a_period_is_a_go_duration_and_zero_means_never(obj: KubeObject, expected: float | None) -> None:
    read = parse_annotations(obj)
    assert (read.reconcile_period, read.error) == (expected, "")


def test_the_dead_prefix_is_warned_of_with_the_living_name() -> None:
    read = parse_annotations(annotated(dead="4"))
    assert read.verbosity is None
    assert read.warnings == (f"ansible.operator-sdk/verbosity means nothing any more, expected {UPSTREAM}/verbosity",)


@pytest.mark.parametrize(
    ("text", "paused"), [("true", True), ("", True), ("yes", True), ("false", False), ("False", False)]
)
def test_any_value_but_false_pauses(text: str, paused: bool) -> None:
    assert parse_annotations(annotated(paused=text)).is_paused is paused


@pytest.mark.parametrize(
    ("old", "new", "asked"),
    [
        (annotated(), annotated(now="1"), True),
        (annotated(now="1"), annotated(now="2"), True),
        (annotated(now="1"), annotated(now="1"), False),
        (annotated(now="1"), annotated(), False),
        (annotated(paused="true"), annotated(), True),
        (annotated(paused="true"), annotated(paused="false"), True),
        (annotated(), annotated(paused="true"), False),
        (annotated(), annotated(verbosity="4"), False),
    ],
    ids=[
        "first",
        "new value",
        "same value",
        "taken away",
        "resumed",
        "resumed by false",
        "paused",
        "another annotation",
    ],
)
def test_a_run_is_asked_for_by_a_new_value_of_reconcile_now_and_by_the_end_of_a_pause(
    old: KubeObject, new: KubeObject, asked: bool
) -> None:
    assert asks_for_a_run(new, old) is asked
