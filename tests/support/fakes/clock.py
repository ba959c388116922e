"""A clock that tests turn by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class FakeTimer:
    """Implements ``reconcile_runner.clock.Timer``."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self._callback = None

    @property
    def cancelled(self) -> bool:
        return self._callback is None

    def fire(self) -> None:
        callback, self._callback = self._callback, None
        if callback is not None:
            callback()


class FakeClock:
    """Implements ``reconcile_runner.clock.Clock``: time stands still until ``advance``."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._start = datetime(2026, 1, 1, tzinfo=UTC)
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self._now

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._now - 1000.0)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wakeup = asyncio.Event()
        timer = self.call_later(seconds, wakeup.set)
        try:
            await wakeup.wait()
        finally:
            timer.cancel()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(callback)
        heapq.heappush(self._timers, (self._now + seconds, next(self._order), timer))
        return timer

    @property
    def next_wakeup(self) -> float | None:
        """Return in how many seconds the first timer fires or sleeper wakes, or None where there is none."""
        self._drop_cancelled()
        return self._timers[0][0] - self._now if self._timers else None

    @property
    def pending(self) -> int:
        """Return how many timers and sleepers wait."""
        return sum(not timer.cancelled for _, _, timer in self._timers)

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, waking sleepers and timers in order and letting each run before the next."""
        end = self._now + seconds
        await settle()
        while True:
            self._drop_cancelled()
            if not self._timers or self._timers[0][0] > end:
                break
            due, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, due)
            timer.fire()
            await settle()
        self._now = end
        await settle()

    def stall(self, seconds: float) -> None:
        """Let ``seconds`` pass in which the event loop is busy: nobody is woken before the next ``advance``."""
        self._now += seconds

    def _drop_cancelled(self) -> None:
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)


async def settle(rounds: int = 20) -> None:
    """Let every ready task run until it waits again."""
    for _ in range(rounds):
        await asyncio.sleep(0)
