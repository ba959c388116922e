"""Each bound of the table holds: set low and exceeded, it takes the place of what was asked for, and is counted."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Final

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.bounds import DEFAULT_BOUNDS, FLAGS, Bound, Bounds
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.compat import (
    ANNOTATION_MAX_RUNNER_ARTIFACTS,
    ANNOTATION_RECONCILE_PERIOD,
    ANNOTATION_VERBOSITY,
)
from reconcile_runner.execution.job import RunSettings
from reconcile_runner.metrics import Metrics
from reconcile_runner.reconciler.inputdir import InputDir
from reconcile_runner.reconciler.jobrunner import JobRunner
from reconcile_runner.watches.annotations import parse_annotations
from reconcile_runner.watches.watch import Watch
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.engine import FakeEngine
from tests.support.fakes.proxy import FakeProxy
from tests.support.paths import REPOSITORY

LOW: Final = Bounds(verbosity=1, artifacts=2, reconcile_period=60.0, metric_series=3)
GVK: Final = GroupVersionKind("g.test", "v1", "Thing")
WATCH: Final = Watch(GVK, role=Path("/roles/thing"))


def annotated(name: str, text: str) -> KubeObject:
    return {"metadata": {"name": "a", "namespace": "default", "uid": "u", "annotations": {name: text}}}


async def settings_of_run(directory: Path, metrics: Metrics, obj: KubeObject) -> RunSettings:
    """Return with which settings an object is run."""
    engine, discovery = FakeEngine(), Discovery(FakeClient(), FakeClock())
    settings = RunSettings(verbosity=0)
    jobs = JobRunner(
        WATCH, lambda: settings, engine, InputDir(directory, {}), FakeProxy(), discovery, metrics, FakeClock()
    )
    await jobs.run(obj, parse_annotations(obj, LOW))
    return engine.jobs[0].settings


async def verbosity(directory: Path, metrics: Metrics) -> float:
    return (await settings_of_run(directory, metrics, annotated(ANNOTATION_VERBOSITY, "7"))).verbosity


async def artifacts(directory: Path, metrics: Metrics) -> float:
    return (await settings_of_run(directory, metrics, annotated(ANNOTATION_MAX_RUNNER_ARTIFACTS, "0"))).max_artifacts


async def reconcile_period(directory: Path, metrics: Metrics) -> float:
    obj = annotated(ANNOTATION_RECONCILE_PERIOD, "1ms")
    await settings_of_run(directory, metrics, obj)
    return parse_annotations(obj, LOW).reconcile_period or 0.0


async def metric_series(_directory: Path, metrics: Metrics) -> float:
    for number in range(LOW.metric_series + 1):
        metrics.resource_exists(GVK, ObjectKey("default", f"n{number}"), 1.0)
    return float(metrics.exposition().count(b"resource_created_at_seconds{"))


EXCEED: Final[Mapping[Bound, Callable[[Path, Metrics], Awaitable[float]]]] = {
    Bound.VERBOSITY: verbosity,
    Bound.ARTIFACTS: artifacts,
    Bound.RECONCILE_PERIOD: reconcile_period,
    Bound.METRIC_SERIES: metric_series,
}
"""How each bound is exceeded; returns what was had instead."""


@pytest.mark.parametrize("bound", Bound)
async def test_each_holds_is_shown_and_is_counted(bound: Bound, tmp_path: Path) -> None:
    metrics = Metrics(bounds=LOW)
    assert await EXCEED[bound](tmp_path, metrics) == LOW.value(bound)
    sample = metrics.registry.get_sample_value
    assert sample("reconcile_runner_bound", {"bound": bound}) == LOW.value(bound)
    assert sample("reconcile_runner_bound_reached_total", {"bound": bound}) == 1


async def test_what_is_within_them_is_not_changed(tmp_path: Path) -> None:
    metrics = Metrics(bounds=LOW)
    for name, text in ((ANNOTATION_VERBOSITY, "1"), (ANNOTATION_MAX_RUNNER_ARTIFACTS, "2")):
        await settings_of_run(tmp_path, metrics, annotated(name, text))
    assert parse_annotations(annotated(ANNOTATION_RECONCILE_PERIOD, "0"), LOW).reconcile_period == 0
    assert parse_annotations(annotated(ANNOTATION_RECONCILE_PERIOD, "1h"), LOW).exceeded == ()
    assert b"reconcile_runner_bound_reached_total{" not in metrics.exposition()


def test_an_object_that_is_shown_already_needs_no_room() -> None:
    metrics = Metrics(bounds=Bounds(metric_series=1))
    for moment in (1.0, 2.0):
        metrics.resource_exists(GVK, ObjectKey("default", "a"), moment)
    metrics.resource_gone(GVK, ObjectKey("default", "a"))
    metrics.resource_exists(GVK, ObjectKey("default", "b"), 3.0)
    assert b'{name="b"' in metrics.exposition()
    assert b"reconcile_runner_bound_reached_total{" not in metrics.exposition()


def test_the_page_on_limits_has_the_table() -> None:
    page = (REPOSITORY / "docs" / "limits.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| `(\w+)` \| `(--[\w-]+)` \| `([\w]+)` \|", page)
    shown = {bound: f"{DEFAULT_BOUNDS.value(bound):g}".removesuffix("s") for bound in Bound}
    assert {bound: flag for bound, flag, _ in rows} == {str(bound): flag for bound, flag in FLAGS.items()}
    assert {bound: default.removesuffix("s") for bound, _, default in rows} == {
        str(b): text for b, text in shown.items()
    }
    assert [field.name for field in fields(Bounds)] == [str(bound) for bound in Bound]
