from __future__ import annotations

import asyncio

from tests.support.heartbeat import heartbeat


def work() -> int:
    return sum(number * number for number in range(300_000))


async def test_what_the_event_loop_does_itself_is_nearly_all_of_the_work() -> None:
    async with heartbeat() as measured:
        work()
    assert measured.share > 0.5


async def test_what_a_thread_does_is_not_the_event_loops() -> None:
    async with heartbeat() as measured:
        await asyncio.to_thread(work)
    assert measured.share < 0.5
