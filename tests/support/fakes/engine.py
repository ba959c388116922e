"""An engine that runs nothing: it hands out the results and events that a test gives it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from reconcile_runner.errors import ExecutionError
from reconcile_runner.execution.job import Job, RunResult, RunStats, RunStatus
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import Engine

SUCCESS = RunResult(RunStatus.SUCCESSFUL, RunStats(ok=1), duration=0.1)


class FakeEngine:
    """Implements ``Engine``.

    ``results`` are handed out in order, one a run; an exception among them is raised; when none is left, ``SUCCESS``.
    ``events`` are told in every run. While ``hold`` is set, runs wait until ``release`` is called. ``jobs`` has
    every job that was started, ``running`` those that have not ended, ``canceled`` those that were canceled,
    ``ended_remains`` every directory whose runs' processes were to end.
    """

    def __init__(
        self,
        results: Sequence[RunResult | ExecutionError] = (),
        events: Sequence[JobEvent] = (),
        *,
        hold: bool = False,
    ) -> None:
        self.results = list(results)
        self.events = list(events)
        self.jobs: list[Job] = []
        self.running: list[Job] = []
        self.canceled: list[Job] = []
        self.ended_remains: list[Path] = []
        self.started = False
        self._open = asyncio.Event()
        if not hold:
            self._open.set()

    async def start(self) -> None:
        self.started = True

    async def run(self, job: Job, on_event: Callable[[JobEvent], None]) -> RunResult:
        self.jobs.append(job)
        self.running.append(job)
        try:
            for event in self.events:
                on_event(event)
            await self._open.wait()
        except asyncio.CancelledError:
            self.canceled.append(job)
            raise
        finally:
            self.running.remove(job)
        result = self.results.pop(0) if self.results else SUCCESS
        if isinstance(result, ExecutionError):
            raise result
        return result

    async def end_remains(self, private_data_dir: Path) -> None:
        self.ended_remains.append(private_data_dir)

    async def stop(self) -> None:
        self.started = False

    def release(self) -> None:
        """Let held runs, and all to come, end."""
        self._open.set()

    def hold(self) -> None:
        """Let runs to come wait."""
        self._open.clear()


def _implements(engine: FakeEngine) -> Engine:
    return engine
