"""How long the event loop works on one thing, in its own thread's time: other processes do not count."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class Heartbeat:
    """``longest``: the seconds of processor time of the event loop's longest turn; ``beats``: how many there were."""

    longest: float = 0.0
    beats: int = 0

    async def run(self) -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            self.longest = max(self.longest, now - before)
            self.beats += 1
            before = now


@asynccontextmanager
async def heartbeat() -> AsyncIterator[Heartbeat]:
    """Measure while the block runs."""
    measured = Heartbeat()
    task = asyncio.create_task(measured.run(), name="heartbeat")
    await asyncio.sleep(0)
    try:
        yield measured
        await asyncio.sleep(0)  # the last turn counts, too
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
