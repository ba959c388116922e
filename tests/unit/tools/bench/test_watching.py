from __future__ import annotations

import asyncio

import pytest

from reconcile_runner.apimachinery.objects import KubeObject, ObjectKey
from reconcile_runner.client import WatchEventType
from reconcile_runner.errors import ApiUnreachableError
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import settle
from tools.bench.watching import Expectation, ObjectWatch, happy_is, observed

A, B = ObjectKey("default", "a"), ObjectKey("default", "b")
PATH = "/apis/tutorial.my.domain/v1/foos"


def foo(key: ObjectKey, **status: object) -> KubeObject:
    return {"metadata": {"name": key.name, "namespace": key.namespace}, "status": status}


def test_notes_the_first_time_at_which_an_object_passes() -> None:
    expectation = Expectation([A], happy_is(True))
    for happy, now in ((None, 1.0), (False, 2.0), (True, 3.0), (True, 4.0)):
        expectation.see(A, foo(A, happy=happy), now)
    assert expectation.times == {A: 3.0}


async def test_is_met_when_every_object_has_passed() -> None:
    expectation = Expectation([A, B], happy_is(None))
    expectation.see(A, foo(A, happy=False), 1.0)
    assert not expectation.is_met
    expectation.see(B, foo(B, happy=False), 2.0)
    assert await expectation.within(1.0) == {A: 1.0, B: 2.0}


async def test_says_what_did_not_come() -> None:
    expectation = Expectation([A, B], happy_is(None))
    expectation.see(A, foo(A, happy=False), 1.0)
    with pytest.raises(TimeoutError, match="1 of 2 objects after 0 s; missing: default/b"):
        await expectation.within(0.001)


def test_other_objects_do_not_count() -> None:
    expectation = Expectation([A], happy_is(None))
    expectation.see(B, foo(B, happy=True), 1.0)
    assert expectation.times == {}


@pytest.mark.parametrize(
    ("wanted", "status", "passes"),
    [
        (None, {}, False),
        (None, {"happy": False}, True),
        (True, {"happy": False}, False),
        (False, {"happy": False}, True),
    ],
    ids=str,
)
def test_happy(wanted: bool | None, status: dict[str, object], passes: bool) -> None:
    assert happy_is(wanted)(foo(A, **status)) is passes


def test_observed_is_that_generation_or_a_later_one() -> None:
    assert [observed(2)(foo(A, observedGeneration=seen)) for seen in (1, 2, 3)] == [False, True, True]
    assert observed(1)({"metadata": {}}) is False


async def test_follows_the_list_and_then_the_watch_and_again_after_a_fault() -> None:
    client = FakeClient()
    client.answer(PATH, {"metadata": {"resourceVersion": "1"}, "items": [foo(A, happy=False)]})
    watch = ObjectWatch(client, PATH)
    listed, watched = watch.expect([A], happy_is(False)), watch.expect([A], happy_is(True))
    again = watch.expect([B], happy_is(True))
    running = asyncio.create_task(watch.run())
    try:
        await listed.within(5)
        opened = await client.opened(PATH)
        opened.send(WatchEventType.MODIFIED, foo(A, happy=True))
        await watched.within(5)
        client.answer(PATH, {"metadata": {"resourceVersion": "2"}, "items": [foo(B, happy=True)]})
        opened.fail(ApiUnreachableError("cut"))
        await again.within(5)
        await settle()
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
