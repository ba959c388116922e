"""What makes a probe fail: a kind that is not there, not listed or not watched, and a reconcile without an end."""

from __future__ import annotations

import asyncio

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.cache.cache import Cache
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.controller.controller import Controller
from reconcile_runner.controller.workqueue import WorkQueue
from reconcile_runner.errors import ApiUnreachableError
from reconcile_runner.manager.healthchecks import RECONNECT_PATIENCE, STUCK_AFTER, caches_check, stuck_check
from reconcile_runner.metrics import Metrics
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import FakeClock, settle
from tests.support.fakes.reconciler import FakeReconciler

FOO = GroupVersionKind("example.com", "v1", "Foo")
FOOS = "/apis/example.com/v1/foos"


async def test_a_kind_must_be_served_listed_and_watched() -> None:
    client, clock = FakeClient(), FakeClock()
    cache = Cache(client, Discovery(client, clock), clock, ())
    cache.require(FOO, whole=True)
    check = caches_check(cache, clock)
    assert check() == f"not served: {FOO}"
    entry: KubeObject = {"name": "foos", "kind": "Foo", "namespaced": True, "verbs": ["list", "watch"]}
    client.answer("/apis/example.com/v1", {"resources": [entry]})
    client.answer(FOOS, ApiUnreachableError("no answer"), {"metadata": {"resourceVersion": "9"}, "items": []})
    running = asyncio.create_task(cache.run(), name="cache")
    await settle(50)
    assert check() == f"not listed yet: {FOO}"
    await clock.advance(5)
    assert check() is None
    client.fail("WATCH", FOOS, ApiUnreachableError("no answer"), times=100)
    client.watches[-1].end()
    await settle()
    assert check() is None, "watches are opened anew all the time"
    await clock.advance(RECONNECT_PATIENCE + 1)
    assert check() == f"no watch is open: {FOO}"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(("run_timeout", "said"), [(100.0, "stuck in a reconcile: default/a"), (0.0, None)])
async def test_a_reconcile_must_end(run_timeout: float, said: str | None) -> None:
    clock, metrics, reconciler = FakeClock(), Metrics(), FakeReconciler()
    queue = WorkQueue("foo", clock, metrics)
    controller = Controller("foo", FOO, queue, reconciler, 1, metrics, clock)
    check = stuck_check(controller, run_timeout)
    reconciler.hold()
    queue.add(ObjectKey("default", "a"))
    running = asyncio.create_task(controller.run(), name="controller")
    await clock.advance(100.0 + STUCK_AFTER)
    assert check() is None
    await clock.advance(1)
    assert check() == said
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
