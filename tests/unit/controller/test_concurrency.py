"""One limit over all watches: who waits, who goes first, and that no slot is lost."""

from __future__ import annotations

import asyncio

import pytest

from reconcile_runner.controller.concurrency import ConcurrencyLimit
from reconcile_runner.controller.workqueue import Priority
from tests.support.fakes.clock import settle


class Line:
    """Tasks that want a slot, in the order in which they got one."""

    def __init__(self, limit: ConcurrencyLimit) -> None:
        self.limit = limit
        self.got: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self._ends: dict[str, asyncio.Event] = {}

    async def join(self, name: str, priority: Priority = Priority.BACKGROUND) -> None:
        self._ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._hold(name, priority), name=name)
        await settle()

    async def _hold(self, name: str, priority: Priority) -> None:
        async with self.limit.slot(lambda: priority):
            self.got.append(name)
            await self._ends[name].wait()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self.tasks[name]
        await settle()

    async def end_all(self) -> None:
        """Let everybody who is not cancelled get a slot and give it back."""
        while running := [name for name in self.got if not self.tasks[name].done()]:
            await self.end(running[0])


async def test_without_a_limit_nobody_waits() -> None:
    line = Line(ConcurrencyLimit(None))
    for name in "abcdef":
        await line.join(name)
    assert line.got == list("abcdef")
    await line.end_all()


async def test_as_many_as_the_limit_run_at_a_time_the_longest_waiting_first() -> None:
    line = Line(ConcurrencyLimit(2))
    for name in "abcd":
        await line.join(name)
    assert line.got == ["a", "b"]
    await line.end("b")
    assert line.got == ["a", "b", "c"]
    await line.end_all()
    assert line.got == ["a", "b", "c", "d"]


async def test_live_work_of_any_watch_goes_before_the_background_of_all() -> None:
    line = Line(ConcurrencyLimit(1))
    for name in ("first", "backlog-1", "backlog-2"):
        await line.join(name)
    await line.join("live", Priority.LIVE)
    await line.end("first")
    assert line.got[-1] == "live"
    await line.end_all()


async def test_the_background_keeps_a_share_when_live_work_never_ends() -> None:
    line = Line(ConcurrencyLimit(1))
    await line.join("first")
    await line.join("backlog")
    for number in range(8):
        await line.join(f"live-{number}", Priority.LIVE)
    await line.end_all()
    assert line.got.index("backlog") == 4


@pytest.mark.parametrize("granted", [False, True], ids=["while waiting", "just granted"])
async def test_a_waiter_that_is_cancelled_leaves_its_slot_to_the_next(granted: bool) -> None:
    limit = ConcurrencyLimit(1)
    line = Line(limit)
    await line.join("first")
    await line.join("cancelled")
    await line.join("next")
    if granted:
        line._ends["first"].set()
        await asyncio.sleep(0)
        assert len(limit._waiting) == 1
    line.tasks["cancelled"].cancel()
    await asyncio.gather(line.tasks["cancelled"], return_exceptions=True)
    line._ends["first"].set()
    await settle()
    assert line.got[-1] == "next"
    await line.end_all()
