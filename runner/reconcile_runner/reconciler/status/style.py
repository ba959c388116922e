"""Which conditions a watch's objects get: this project's, upstream's, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.execution.job import RunResult
from reconcile_runner.reconciler.status import conditions, upstream
from reconcile_runner.reconciler.status.types import StatusUpdate
from reconcile_runner.watches.watch import Watch


@dataclass(frozen=True, slots=True)
class Style:
    """The status updates before and after a run.

    - ``running(generation)``, ``succeeded(generation, result)``
    - ``failed(generation, message, result)``: the result is None where nothing could be run
    - ``announces_every_run``: ``running`` is written before each run, however short that is
    """

    running: Callable[[int], StatusUpdate]
    succeeded: Callable[[int, RunResult], StatusUpdate]
    failed: Callable[[int, str, RunResult | None], StatusUpdate]
    announces_every_run: bool = False


def _nothing(obj: KubeObject, now: datetime) -> dict[str, Any]:
    del obj, now
    return {}


OWN = Style(conditions.running, conditions.succeeded, conditions.failed)
"""This project's conditions, written only when they say something new."""

UPSTREAM = Style(upstream.running, upstream.succeeded, upstream.failed, announces_every_run=True)
"""Upstream's, as it writes them (``upstreamStatus: true``)."""

SILENT = Style(lambda _: _nothing, lambda _, __: _nothing, lambda _, __, ___: _nothing)
"""None at all (``manageStatus: false``)."""


def status_style_for(watch: Watch) -> Style:
    """Return the style that a watch asks for."""
    if not watch.manage_status:
        return SILENT
    return UPSTREAM if watch.upstream_status else OWN
