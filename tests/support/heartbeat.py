"""How much of its work this process does in one turn of the event loop, in processor time: no machine is too slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Heartbeat:
    """``longest``: the seconds of processor time of the event loop's longest turn; ``spent``: those of all threads."""

    longest: float = 0.0
    spent: float = 0.0

    @property
    def share(self) -> float:
        """Return how much of the work was done in one turn: nearly all of it where the event loop does it itself."""
        return self.longest / self.spent

    async def run(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest = max(self.longest, now - before)
            before = now


@asynccontextmanager
async def heartbeat() -> AsyncIterator[Heartbeat]:
    """Measure while the block runs."""
    measured = Heartbeat()
    before = time.process_time()
    task = asyncio.create_task(measured.run(), name="heartbeat")
    await asyncio.sleep(0)
    try:
        yield measured
        await asyncio.sleep(0)  # the last turn counts, too
        measured.spent = time.process_time() - before
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
