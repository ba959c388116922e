"""Which conditions a watch's objects get: this project's, upstream's, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.execution.job import RunResult
from reconcile_runner.reconciler.status import conditions, upstream
from reconcile_runner.reconciler.status.types import StatusUpdate
from reconcile_runner.watches.watch import Watch


class _Running(Protocol):
    def __call__(self, run_generation: int, *, is_judged: bool = False) -> StatusUpdate: ...


class _Failed(Protocol):
    def __call__(
        self, run_generation: int, message: str, result: RunResult | None = None, *, is_final: bool = False
    ) -> StatusUpdate: ...


@dataclass(frozen=True, slots=True)
class Style:
    """The status updates before and after a run, made from the generation that they are about.

    - ``running``: ``is_judged`` where the generation has its verdict already
    - ``succeeded``
    - ``failed``: the result is None where nothing could be run; ``is_final`` where it is not tried again
    - ``announces_every_run``: ``running`` is written before each run, however short that is
    """

    running: _Running
    succeeded: Callable[[int, RunResult], StatusUpdate]
    failed: _Failed
    announces_every_run: bool = False


def _nothing(obj: KubeObject, now: datetime) -> dict[str, Any]:
    del obj, now
    return {}


def _silent_running(run_generation: int, *, is_judged: bool = False) -> StatusUpdate:
    del run_generation, is_judged
    return _nothing


def _silent_failed(
    run_generation: int, message: str, result: RunResult | None = None, *, is_final: bool = False
) -> StatusUpdate:
    del run_generation, message, result, is_final
    return _nothing


OWN = Style(conditions.running, conditions.succeeded, conditions.failed)
"""This project's conditions, written only when they say something new."""

UPSTREAM = Style(upstream.running, upstream.succeeded, upstream.failed, announces_every_run=True)
"""Upstream's, as it writes them (``upstreamStatus: true``)."""

SILENT = Style(_silent_running, lambda _, __: _nothing, _silent_failed)
"""None at all (``manageStatus: false``)."""


def status_style_for(watch: Watch) -> Style:
    """Return the style that a watch asks for."""
    if not watch.manage_status:
        return SILENT
    return UPSTREAM if watch.upstream_status else OWN
