"""The limit on reconciles at a time over all watches (``--max-concurrent-runs``).

A worker waits for a slot before it takes a request from its queue. Live requests of any watch go before the background
requests of all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from reconcile_runner.controller.workqueue import MAX_LIVE_PICKS, Priority


@dataclass(slots=True, eq=False)
class _Waiter:
    urgency: Callable[[], Priority]
    granted: asyncio.Event = field(default_factory=asyncio.Event)


class ConcurrencyLimit:
    """Hands out ``limit`` slots (>= 1); None: there is no limit."""

    def __init__(self, limit: int | None) -> None:
        self._free = limit
        self._waiting: list[_Waiter] = []
        self._passed_over = 0

    @asynccontextmanager
    async def slot(self, urgency: Callable[[], Priority]) -> AsyncIterator[None]:
        """Wait for a slot and hold it while the block runs.

        ``urgency`` returns the priority of the caller's most urgent request. It is called each time a slot is free.
        """
        await self._acquire(urgency)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, urgency: Callable[[], Priority]) -> None:
        if self._free is None:
            return
        if self._free:
            self._free -= 1
            return
        waiter = _Waiter(urgency)
        self._waiting.append(waiter)
        try:
            await waiter.granted.wait()
        except asyncio.CancelledError:
            if waiter.granted.is_set():
                self._release()
            else:
                self._waiting.remove(waiter)
            raise

    def _release(self) -> None:
        if self._free is None:
            return
        if self._waiting:
            self._choose().granted.set()
        else:
            self._free += 1

    def _choose(self) -> _Waiter:
        """Remove and return the next waiter: the first one with a live request.

        Where ``MAX_LIVE_PICKS`` in a row passed the head of the line, the next slot is the head's.
        """
        live = next((number for number, waiter in enumerate(self._waiting) if waiter.urgency() is Priority.LIVE), 0)
        if live and self._passed_over < MAX_LIVE_PICKS:
            self._passed_over += 1
            return self._waiting.pop(live)
        self._passed_over = 0
        return self._waiting.pop(0)
