"""Which conditions a watch asks for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.execution.job import RunResult, RunStatus
from reconcile_runner.reconciler.status import Style, status_style_for
from reconcile_runner.reconciler.status.style import OWN, SILENT, UPSTREAM
from reconcile_runner.watches.watch import Watch

GVK = GroupVersionKind("example.com", "v1", "Thing")
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("manage", "upstream", "style"),
    [(True, False, OWN), (True, True, UPSTREAM), (False, False, SILENT), (False, True, SILENT)],
    ids=["default", "upstreamStatus", "no status", "no status at all"],
)
def test_a_watch_has_one_style(manage: bool, upstream: bool, style: Style) -> None:
    assert status_style_for(Watch(GVK, manage_status=manage, upstream_status=upstream)) is style


def test_silence_changes_nothing() -> None:
    result = RunResult(RunStatus.SUCCESSFUL)
    updates = [
        SILENT.running(1),
        SILENT.succeeded(1, result),
        SILENT.failed(1, "no"),
        SILENT.failed(1, "n", is_final=True),
    ]
    assert [update({}, NOW) for update in updates] == [{}] * 4


def test_upstreams_knows_no_failure_for_good() -> None:
    [condition] = UPSTREAM.failed(1, "no", is_final=True)({}, NOW)["conditions"]
    assert condition["type"] == "Failure"


def test_upstreams_alone_is_announced_before_every_run() -> None:
    assert [style.announces_every_run for style in (OWN, UPSTREAM, SILENT)] == [False, True, False]
