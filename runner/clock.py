"""Time, behind a Protocol, so that tests turn the clock by hand instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the runner needs to know of time."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""

    def now(self) -> datetime:
        """Return the wall-clock time in UTC, for what people and the API server read."""

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds`` (>= 0)."""


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        """Return the event loop's kind of time."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the current UTC time."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait without blocking the event loop."""
        await asyncio.sleep(seconds)
