from __future__ import annotations

import asyncio

import pytest

from reconcile_runner.apimachinery.objects import ObjectKey
from tools.bench.session import CONCURRENCY, for_each, keys


async def test_acts_on_each_object_once_and_on_a_few_at_a_time() -> None:
    seen: list[ObjectKey] = []
    busy: list[int] = [0, 0]

    async def act(key: ObjectKey) -> None:
        busy[0] += 1
        busy[1] = max(busy)
        await asyncio.sleep(0)
        seen.append(key)
        busy[0] -= 1

    wanted = keys("ns", "x", 100)
    await for_each(wanted, act)
    assert sorted(seen) == sorted(wanted)
    assert busy[1] == CONCURRENCY


async def test_a_request_that_fails_ends_it_with_its_error() -> None:
    async def act(key: ObjectKey) -> None:
        raise LookupError(str(key))

    with pytest.raises(ExceptionGroup) as caught:
        await for_each(keys("ns", "x", 3), act)
    assert caught.group_contains(LookupError, match="ns/x-0")
