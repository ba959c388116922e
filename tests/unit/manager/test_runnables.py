"""When a runnable starts, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from reconcile_runner.leaderelection import Unopposed
from reconcile_runner.manager import runnables
from reconcile_runner.manager.runnables import Runnable, RunnableFunc, RunnableGroup
from tests.support.fakes.clock import settle


class Standby(Unopposed):
    """Leads once it is told to."""

    def __init__(self) -> None:
        self.elected = asyncio.Event()

    async def wait_elected(self) -> None:
        await self.elected.wait()


class Part:
    """Implements ``Runnable``: notes its start and runs until cancelled."""

    name = "part"

    def __init__(self, *, needs_leader: bool = True) -> None:
        self.needs_leader = needs_leader
        self.synced = asyncio.Event()
        self.runs = False

    async def wait_synced(self) -> None:
        await self.synced.wait()

    async def run(self) -> None:
        self.runs = True
        await asyncio.Event().wait()


class Harness:
    """One group of one runnable."""

    def __init__(self, runnable: Runnable) -> None:
        self.leadership = Standby()
        self.stopping, self.hurry = asyncio.Event(), asyncio.Event()
        self.group = RunnableGroup([runnable], self.leadership, self.stopping)

    @asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            self.group.start(tasks)
            await settle()
            yield
            self.group.cancel()


async def test_it_starts_once_it_is_synced_and_leads() -> None:
    part = Part()
    harness = Harness(part)
    async with harness.started():
        harness.leadership.elected.set()
        await settle()
        assert not part.runs
        part.synced.set()
        await settle()
        assert part.runs


async def test_one_that_needs_no_leader_does_not_wait_for_it() -> None:
    part = Part(needs_leader=False)
    harness = Harness(part)
    async with harness.started():
        part.synced.set()
        await settle()
        assert part.runs


async def test_it_starts_unsynced_when_it_has_waited_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runnables, "SYNC_TIMEOUT", 0.0)
    part = Part(needs_leader=False)
    async with Harness(part).started():
        await settle()
        assert part.runs


@pytest.mark.parametrize("is_synced", [False, True], ids=["unsynced", "standing by"])
async def test_one_that_waits_ends_with_the_stop_and_never_runs(is_synced: bool) -> None:
    part = Part()
    harness = Harness(part)
    if is_synced:
        part.synced.set()
    async with harness.started():
        harness.stopping.set()
        await harness.group.wait(harness.hurry)
    assert not part.runs


async def test_one_that_works_is_waited_for_and_is_cancelled_in_a_hurry() -> None:
    part = Part(needs_leader=False)
    part.synced.set()
    harness = Harness(part)
    async with harness.started():
        harness.stopping.set()
        waiting = asyncio.create_task(harness.group.wait(harness.hurry), name="wait")
        await settle()
        assert part.runs
        assert not waiting.done()
        harness.hurry.set()
        await waiting


async def test_a_function_is_a_runnable() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        ended.set()

    async with Harness(RunnableFunc("work", work)).started():
        await ended.wait()
