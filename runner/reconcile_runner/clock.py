"""Time behind a Protocol: tests turn the clock by hand instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol


class Timer(Protocol):
    """A callback that waits for its time."""

    def cancel(self) -> None:
        """Take the callback back; nothing happens where it was called already."""


class Clock(Protocol):
    """What the runner needs to know of time."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""

    def now(self) -> datetime:
        """Return the wall-clock time in UTC, for what people and the API server read."""

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds`` (>= 0)."""

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` in the event loop after ``seconds`` (>= 0)."""


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

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back from the running event loop; it counts as ``monotonic`` does."""
        return asyncio.get_running_loop().call_later(seconds, callback)
