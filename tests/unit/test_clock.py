from __future__ import annotations

import asyncio
from datetime import timedelta

from reconcile_runner.clock import Clock, SystemClock
from tests.support.fakes.clock import FakeClock, settle


async def test_system_clock_calls_back_and_counts_the_seconds_of_the_event_loop() -> None:
    clock: Clock = SystemClock()
    called = asyncio.Event()
    before = clock.monotonic()
    clock.call_later(0.01, called.set)
    await asyncio.wait_for(called.wait(), timeout=10)
    assert clock.monotonic() - before >= 0.009


async def test_system_clock_does_not_call_back_what_was_cancelled() -> None:
    clock = SystemClock()
    called: list[str] = []
    clock.call_later(0, lambda: called.append("cancelled")).cancel()
    clock.call_later(0, lambda: called.append("kept"))
    await clock.sleep(0.01)
    assert called == ["kept"]


def test_system_clock_reads_utc() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)


async def test_fake_clock_stands_still_until_it_is_turned() -> None:
    clock = FakeClock()
    before, wall = clock.monotonic(), clock.now()
    await settle()
    assert (clock.monotonic(), clock.now()) == (before, wall)
    await clock.advance(90)
    assert clock.monotonic() - before == 90
    assert clock.now() - wall == timedelta(seconds=90)


async def test_fake_clock_wakes_timers_and_sleepers_in_the_order_of_their_time() -> None:
    clock = FakeClock()
    order: list[tuple[str, float]] = []
    start = clock.monotonic()

    async def sleeper() -> None:
        await clock.sleep(2)
        order.append(("sleeper", clock.monotonic() - start))
        clock.call_later(1, lambda: order.append(("nested", clock.monotonic() - start)))

    task = asyncio.create_task(sleeper(), name="sleeper")
    clock.call_later(5, lambda: order.append(("late", clock.monotonic() - start)))
    clock.call_later(1, lambda: order.append(("early", clock.monotonic() - start)))
    clock.call_later(1.5, lambda: order.append(("never", 0))).cancel()
    await clock.advance(10)
    await task
    assert order == [("early", 1), ("sleeper", 2), ("nested", 3), ("late", 5)]


async def test_fake_clock_forgets_a_sleeper_that_was_cancelled() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(5), name="sleeper")
    await settle()
    assert clock.next_wakeup == 5
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert clock.next_wakeup is None
