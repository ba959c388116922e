"""Whatever text a user writes into an annotation: no exception, no value out of bounds, no message without end."""

from __future__ import annotations

import random

import pytest

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.bounds import DEFAULT_BOUNDS
from reconcile_runner.compat import (
    ANNOTATION_MAX_RUNNER_ARTIFACTS,
    ANNOTATION_PAUSED,
    ANNOTATION_RECONCILE_NOW,
    ANNOTATION_RECONCILE_PERIOD,
    ANNOTATION_VERBOSITY,
)
from reconcile_runner.watches.annotations import asks_for_a_run, parse_annotations

NAMES = (
    ANNOTATION_MAX_RUNNER_ARTIFACTS,
    ANNOTATION_PAUSED,
    ANNOTATION_RECONCILE_NOW,
    ANNOTATION_RECONCILE_PERIOD,
    ANNOTATION_VERBOSITY,
)
LONG = (1, 20, 5_000, 200_000)
PIECES = ("9", "0", "-", "+", ".", "h", "ns", "1e9", "0x", "_", " ", "\n", "²", "٣", "\x00", "\ud7ff", "true", "False")
GO_MAX = 2**63 / 1e9


def texts(seed: int) -> list[str]:
    chosen = random.Random(seed)  # noqa: S311 - texts, no secrets
    mixed = ["".join(chosen.choices(PIECES, k=chosen.randint(0, 12))) for _ in range(300)]
    return mixed + [piece * length for piece in PIECES for length in LONG] + ["9" * 5_000 + "h", "0" * 5_000 + "7"]


@pytest.mark.parametrize("name", NAMES)
def test_any_text_is_read_within_bounds_or_told_in_few_words(name: str) -> None:
    for text in texts(seed=1):
        obj: KubeObject = {"metadata": {"name": "a", "annotations": {name: text}}}
        read = parse_annotations(obj)
        assert 0 <= (read.reconcile_period or 0) <= GO_MAX, text[:80]
        assert 0 <= (read.verbosity or 0) <= DEFAULT_BOUNDS.verbosity, text[:80]
        assert 0 <= (read.max_artifacts or 0) <= DEFAULT_BOUNDS.artifacts, text[:80]
        assert all(len(said) < 500 for said in (*read.warnings, *dict(read.exceeded).values(), read.error)), text[:80]
        assert isinstance(asks_for_a_run(obj, {}), bool)


def test_zeros_before_a_number_do_not_count() -> None:
    read = parse_annotations({"metadata": {"annotations": {ANNOTATION_VERBOSITY: "0" * 5_000 + "7"}}})
    assert (read.verbosity, read.warnings) == (DEFAULT_BOUNDS.verbosity, ())
