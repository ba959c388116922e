"""What runs leave behind: processes that outlive the run which started them, as those of asynchronous tasks do.

They may live until the time of their run is over, and no longer than the object that it was for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from reconcile_runner.clock import Clock, Timer
from reconcile_runner.execution.job import Job
from reconcile_runner.logs import get_logger

_log = get_logger(__name__)


@dataclass(eq=False, slots=True)
class _Remains:
    """What one run has left. ``live``: whether any of it is left now; ``end`` ends it, and waits until it is gone."""

    job: Job
    live: Callable[[], bool]
    end: Callable[[], Awaitable[None]]
    timer: Timer | None = None


class RemainingProcesses:
    """The processes that ended runs of one engine have left, and when they are ended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._remains: set[_Remains] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, job: Job, duration: float, live: Callable[[], bool], end: Callable[[], Awaitable[None]]) -> None:
        """Take note of what a run has left that ended after ``duration`` seconds.

        It is ended when the job's timeout has passed since the run began; where there is none, by ``end_of`` alone.
        """
        for gone in [each for each in self._remains if not each.live()]:
            self._forget(gone)
        remains = _Remains(job, live, end)
        self._remains.add(remains)
        if job.settings.timeout is not None:
            left = max(0.0, job.settings.timeout - duration)
            remains.timer = self._clock.call_later(left, lambda: self._end_in_task(remains))

    async def end_of(self, private_data_dir: Path) -> None:
        """End what runs with this directory have left, and wait until it is gone."""
        for remains in [each for each in self._remains if each.job.private_data_dir == private_data_dir]:
            await self._end(remains, "the object is gone")

    def close(self) -> None:
        """Forget everything: who calls this has ended it, or is about to."""
        for remains in list(self._remains):
            self._forget(remains)

    def _end_in_task(self, remains: _Remains) -> None:
        task = asyncio.create_task(
            self._end(remains, "the time of the run is over"), name=f"remains-{remains.job.ident}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _end(self, remains: _Remains, why: str) -> None:
        self._forget(remains)
        if remains.live():
            _log.warning("ending processes that a run has left", job=remains.job.ident, reason=why)
            await remains.end()

    def _forget(self, remains: _Remains) -> None:
        self._remains.discard(remains)
        if remains.timer is not None:
            remains.timer.cancel()
