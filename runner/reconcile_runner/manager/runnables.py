"""Runnables: parts that work until cancelled, and groups of them.

As in controller-runtime, a ``Runnable`` says itself whether it needs the leader's Lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from reconcile_runner.cache.cache import Cache
from reconcile_runner.controller.controller import Controller
from reconcile_runner.leaderelection import Leadership

SYNC_TIMEOUT: Final = 10.0
"""Seconds that a controller waits for every kind to be listed. It then starts with the kinds that are: a trigger's kind
that is missing must not keep objects from being reconciled. When it is listed, they are reconciled again."""


class Runnable(Protocol):
    """A part of the operator that runs in a task of its own, which is called ``name``."""

    @property
    def name(self) -> str:
        """Return the task's name."""

    @property
    def needs_leader(self) -> bool:
        """Tell whether it may start only once this operator leads."""

    async def wait_synced(self) -> None:
        """Wait for what must be complete before it starts.

        The group waits ``SYNC_TIMEOUT`` at most.
        """

    async def run(self) -> None:
        """Work until cancelled; return when nothing is left to do."""


@dataclass(frozen=True, slots=True)
class RunnableFunc:
    """A function as a ``Runnable`` that waits for nothing to be complete."""

    name: str
    function: Callable[[], Coroutine[None, None, None]]
    needs_leader: bool = False

    async def wait_synced(self) -> None:
        """Return at once."""

    async def run(self) -> None:
        """Call the function."""
        await self.function()


class ControllerRunnable:
    """A controller as a ``Runnable``.

    It starts once the caches are complete and this operator leads.
    """

    needs_leader = True

    def __init__(self, controller: Controller, cache: Cache) -> None:
        self._controller = controller
        self._cache = cache

    @property
    def name(self) -> str:
        """Return the controller's name."""
        return self._controller.name

    async def wait_synced(self) -> None:
        """Wait until every kind has been listed."""
        await self._cache.wait_synced()

    async def run(self) -> None:
        """Reconcile until ``stop``; cancelling cancels the running reconciles at once."""
        await self._controller.run()

    def stop(self) -> None:
        """Start no reconcile any more.

        ``run`` ends with the last reconcile, after the grace period at the latest.
        """
        self._controller.stop()


class RunnableGroup:
    """Runnables that start together.

    ``stopping`` ends the waiting of those that have not started.
    """

    def __init__(self, runnables: Sequence[Runnable], leadership: Leadership, stopping: asyncio.Event) -> None:
        self._runnables = runnables
        self._leadership = leadership
        self._stopping = stopping
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Run each in a task of its own among ``tasks``, which share its failure."""
        self._tasks = [tasks.create_task(self._run(runnable), name=runnable.name) for runnable in self._runnables]

    async def wait(self, hurry: asyncio.Event) -> None:
        """Wait for the end of all; cancel them once ``hurry`` is set."""
        hurrying = asyncio.create_task(self._cancel_when(hurry), name="wait for a second signal")
        if self._tasks:
            await asyncio.wait(self._tasks)
        hurrying.cancel()

    def cancel(self) -> None:
        """Cancel all."""
        for task in self._tasks:
            task.cancel()

    async def _run(self, runnable: Runnable) -> None:
        await _wait_for_either(runnable.wait_synced(), self._stopping, SYNC_TIMEOUT)
        if runnable.needs_leader:
            await _wait_for_either(self._leadership.wait_elected(), self._stopping)
        if not self._stopping.is_set():
            await runnable.run()

    async def _cancel_when(self, hurry: asyncio.Event) -> None:
        await hurry.wait()
        self.cancel()


async def _wait_for_either(
    wanted: Coroutine[None, None, None], stopping: asyncio.Event, limit: float | None = None
) -> None:
    """Wait until ``wanted`` returns or ``stopping`` is set.

    Waits ``limit`` seconds at most; None: no limit.
    """
    waits = [
        asyncio.create_task(wanted, name="wait for the start"),
        asyncio.create_task(stopping.wait(), name="wait for the stop"),
    ]
    try:
        await asyncio.wait(waits, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
