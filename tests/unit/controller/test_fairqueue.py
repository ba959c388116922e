"""Who waits behind whom."""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque

import pytest

from reconcile_runner.apimachinery.objects import ObjectKey
from reconcile_runner.controller.fairqueue import FairQueue
from reconcile_runner.controller.workqueue import WorkQueue
from reconcile_runner.metrics import Metrics
from tests.support.fakes.clock import FakeClock
from tests.support.queues import get


def test_one_tenants_10000_objects_do_not_stand_before_anothers_one() -> None:
    queue = FairQueue()
    for number in range(10_000):
        queue.add(ObjectKey("many", str(number)), float(number))
    queue.add(ObjectKey("one", "x"), 10_000.0)
    assert ObjectKey("one", "x") in [queue.take()[0] for _ in range(2)]


@pytest.mark.parametrize("seed", range(50))
def test_namespaces_take_turns_whatever_comes_and_goes(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 a test that can be repeated
    queue, waiting, since = FairQueue(), defaultdict[str, deque[ObjectKey]](deque), dict[ObjectKey, float]()
    passed = Counter[str]()
    for moment in range(1500):
        key = ObjectKey(chance.choice(["", "a", "a", "a", "a", "b", "c"]), str(chance.randrange(100)))
        match chance.choice(["add", "add", "take", "remove"]):
            case "add" if key not in since:
                queue.add(key, float(moment))
                waiting[key.namespace].append(key)
                since[key] = float(moment)
            case "take" if since:
                taken, waited_since = queue.take()
                assert (taken, waited_since) == (waiting[taken.namespace].popleft(), since.pop(taken))
                passed[taken.namespace] = 0
                for namespace in (name for name, keys in waiting.items() if keys and name != taken.namespace):
                    passed[namespace] += 1
                    assert passed[namespace] < 4, "each of the three others was served once in between at most"
            case "remove" if key in since:
                assert queue.remove(key) == since.pop(key)
                waiting[key.namespace].remove(key)
            case _:
                pass
        for namespace in [name for name, keys in waiting.items() if not keys]:
            passed[namespace] = 0
        assert len(queue) == len(since)
        assert (key in queue) is (key in since)
        assert (queue.first_added() is None) is (not since)


async def test_a_worker_serves_each_namespace_in_turn() -> None:
    queue = WorkQueue("foo-v1-controller", FakeClock(), Metrics(), debounce=0.0)
    for name in "123":
        queue.add(ObjectKey("a", name))
    queue.add(ObjectKey("b", "1"))
    queue.add(ObjectKey("", "1"))
    taken = [await get(queue) for _ in range(5)]
    assert [str(key) for key in taken] == ["a/1", "b/1", "1", "a/2", "a/3"]
