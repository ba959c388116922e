"""A clock that tests turn by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta


class FakeClock:
    """Implements ``runner.clock.Clock``: time stands still until ``advance``."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._start = datetime(2026, 1, 1, tzinfo=UTC)
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic(self) -> float:
        return self._now

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._now - 1000.0)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), sleeper))
        await sleeper

    @property
    def next_wakeup(self) -> float | None:
        """Return in how many seconds the first sleeper wakes, or None where nobody sleeps."""
        self._drop_cancelled()
        return self._sleepers[0][0] - self._now if self._sleepers else None

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, waking sleepers in order and letting each run before the next."""
        end = self._now + seconds
        await settle()
        while True:
            self._drop_cancelled()
            if not self._sleepers or self._sleepers[0][0] > end:
                break
            self._now, _, sleeper = heapq.heappop(self._sleepers)
            sleeper.set_result(None)
            await settle()
        self._now = end
        await settle()

    def _drop_cancelled(self) -> None:
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)


async def settle(rounds: int = 20) -> None:
    """Let every ready task run until it waits again."""
    for _ in range(rounds):
        await asyncio.sleep(0)
