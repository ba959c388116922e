"""Events are for people: at once where something is new, counted where it is not, and never in anybody's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import structlog
from structlog.testing import LogCapture

from reconcile_runner import recorder as recorder_module
from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.errors import ApiError, ApiUnreachableError, ForbiddenError, NotFoundError
from reconcile_runner.recorder import (
    FORBIDDEN_PERIOD,
    MAX_BURST,
    MAX_EVENTS_PER_OBJECT,
    MAX_REASON_BURST,
    MAX_WAITING,
    MESSAGE_LIMIT,
    REASON_PERIOD,
    REPEAT_PERIOD,
    EventRecorder,
    KubeEventType,
    Reason,
)
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import FakeClock, settle

EVENTS = "/api/v1/namespaces/shop/events"


def thing(name: str = "a", namespace: str = "shop") -> KubeObject:
    meta = {"name": name, "uid": f"uid-{name}", "resourceVersion": "7"}
    if namespace:
        meta["namespace"] = namespace
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": meta}


class Harness:
    def __init__(self) -> None:
        self.client = FakeClient()
        self.clock = FakeClock()
        self.recorder = EventRecorder(self.client, self.clock)

    def fail(self, message: str = "no disk", name: str = "a") -> None:
        self.recorder.record(thing(name), KubeEventType.WARNING, Reason.FAILED, message)

    def succeed(self, name: str = "a") -> None:
        self.recorder.record(thing(name), KubeEventType.NORMAL, Reason.RECONCILED, "fine")

    def written(self) -> list[str]:
        """Return the requests so far: the message of what was created, the count of what was said again."""
        found = []
        for call in self.client.calls:
            assert isinstance(call.body, dict)
            found.append(call.body["message"] if call.method == "POST" else f"x{call.body['count']}")
        return found

    def stored(self) -> list[KubeObject]:
        return [obj for path, obj in self.client.objects.items() if path.startswith(EVENTS)]


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    harness = Harness()
    running = asyncio.create_task(harness.recorder.run(), name="recorder")
    yield harness
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture(autouse=True)
def logged(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    capture = LogCapture()
    monkeypatch.setattr(recorder_module, "_log", structlog.wrap_logger(None, processors=[capture]))
    return capture


async def test_an_event_says_what_kubectl_describe_shows(harness: Harness) -> None:
    harness.fail()
    await settle()
    (event,) = harness.stored()
    assert event["metadata"]["namespace"] == "shop"
    assert event["metadata"]["name"].startswith("a.")
    assert event["involvedObject"] == {
        "apiVersion": "example.com/v1",
        "kind": "Thing",
        "namespace": "shop",
        "name": "a",
        "uid": "uid-a",
        "resourceVersion": "7",
    }
    assert (event["type"], event["reason"], event["message"]) == ("Warning", "ReconcileFailed", "no disk")
    assert (event["count"], event["firstTimestamp"], event["lastTimestamp"]) == (1, *["2026-01-01T00:00:00Z"] * 2)
    assert event["source"] == {"component": "reconcile-runner"}


async def test_events_of_a_cluster_scoped_object_are_in_the_default_namespace(harness: Harness) -> None:
    harness.recorder.record(thing(namespace=""), KubeEventType.NORMAL, Reason.RECONCILED, "fine")
    await settle()
    (call,) = harness.client.calls_of("POST")
    assert call.path == "/api/v1/namespaces/default/events"


async def test_what_is_said_again_and_again_is_counted_and_written_now_and_then(harness: Harness) -> None:
    for _ in range(100):
        harness.fail()
        await settle()
    assert harness.written() == ["no disk"]
    await harness.clock.advance(REPEAT_PERIOD)
    harness.fail()
    await settle()
    assert harness.written() == ["no disk", "x101"]
    (event,) = harness.stored()
    assert (event["count"], event["lastTimestamp"]) == (101, "2026-01-01T00:01:00Z")


async def test_a_change_is_written_at_once_though_it_was_said_before(harness: Harness) -> None:
    for say in (harness.succeed, harness.fail, harness.succeed):
        say()
        await settle()
    assert harness.written() == ["fine", "no disk", "x2"]


async def test_an_object_that_says_something_new_all_the_time_has_a_budget_for_each_reason(harness: Harness) -> None:
    for number in range(100):
        harness.fail(f"at {number} o'clock")
    harness.succeed()
    harness.fail(name="another")
    await settle()
    assert len(harness.written()) == MAX_REASON_BURST + 2
    await harness.clock.advance(REASON_PERIOD)
    for number in range(100):
        harness.fail(f"still at {number} o'clock")
    await settle()
    assert len(harness.written()) == MAX_REASON_BURST + 3


async def test_all_objects_together_are_held_to_a_rate(harness: Harness) -> None:
    for number in range(2 * MAX_BURST):
        harness.fail(name=f"thing-{number}")
    await settle(10 * MAX_BURST)
    assert len(harness.written()) == MAX_BURST
    await harness.clock.advance(60)
    assert len(harness.written()) == 2 * MAX_BURST


async def test_what_waits_is_bounded() -> None:
    harness = Harness()
    for number in range(MAX_WAITING + 10):
        harness.fail(name=f"thing-{number}")
    assert harness.recorder._waiting.qsize() == MAX_WAITING


async def test_the_oldest_of_many_events_of_an_object_is_forgotten(harness: Harness) -> None:
    for number in range(MAX_EVENTS_PER_OBJECT + 1):
        harness.fail(f"no {number}")
        await harness.clock.advance(REASON_PERIOD)
    harness.fail("no 1")
    await harness.clock.advance(REASON_PERIOD)
    harness.fail("no 0")
    await settle()
    assert harness.written()[-2:] == ["x2", "no 0"]


async def test_the_object_without_an_event_for_the_longest_time_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "MAX_OBJECTS", 2)
    harness = Harness()
    running = asyncio.create_task(harness.recorder.run(), name="recorder")
    for name in ("first", "second", "first", "third"):
        harness.fail(name=name)
    await harness.clock.advance(REPEAT_PERIOD)
    harness.fail(name="first")
    await harness.clock.advance(REPEAT_PERIOD)
    harness.fail(name="second")
    await settle()
    assert harness.written() == ["no disk", "no disk", "no disk", "x3", "no disk"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_message_of_several_lines_is_one_line(harness: Harness) -> None:
    harness.fail("first: no disk\nsecond: no network")
    await settle()
    assert harness.written() == ["first: no disk; second: no network"]


async def test_a_long_message_is_cut(harness: Harness) -> None:
    harness.fail("x" * 5000)
    await settle()
    assert len(harness.stored()[0]["message"]) == MESSAGE_LIMIT


async def test_an_event_that_the_api_server_forgot_is_created_again(harness: Harness) -> None:
    harness.fail()
    await settle()
    harness.client.objects.clear()
    await harness.clock.advance(REPEAT_PERIOD)
    harness.fail()
    await settle()
    (event,) = harness.stored()
    assert event["count"] == 1


async def test_without_the_right_there_is_one_warning_and_silence(harness: Harness, logged: LogCapture) -> None:
    harness.client.fail("POST", EVENTS, ForbiddenError(403, "Forbidden", "may not create events"), times=2)
    harness.fail()
    harness.fail(name="b")
    await settle()
    harness.fail(name="c")
    await settle()
    assert len(harness.client.calls) == 1
    await harness.clock.advance(FORBIDDEN_PERIOD)
    harness.fail(name="c")
    await settle()
    assert len(harness.client.calls) == 2
    assert [entry["log_level"] for entry in logged.entries] == ["warning"]
    await harness.clock.advance(FORBIDDEN_PERIOD)
    harness.fail(name="d")
    await settle()
    assert len(harness.stored()) == 1


@pytest.mark.parametrize(
    "error",
    [
        ApiUnreachableError("no answer"),
        ApiError(500, "InternalError", "etcd is gone"),
        NotFoundError(404, "NotFound", "no such namespace"),
        ForbiddenError(
            403, "Forbidden", "unable to create new content in namespace shop because it is being terminated"
        ),
    ],
    ids=str,
)
async def test_any_other_trouble_drops_one_event_and_no_more(
    error: Exception, harness: Harness, logged: LogCapture
) -> None:
    harness.client.fail("POST", EVENTS, error)
    harness.fail()
    harness.fail(name="b")
    await settle()
    assert [event["involvedObject"]["name"] for event in harness.stored()] == ["b"]
    assert [entry["log_level"] for entry in logged.entries] == ["debug"]


async def test_an_operator_that_stands_by_says_nothing_now_or_later() -> None:
    leads = False
    client, clock = FakeClient(), FakeClock()
    recorder = EventRecorder(client, clock, lambda: leads)
    running = asyncio.create_task(recorder.run(), name="recorder")
    recorder.record(thing(), KubeEventType.NORMAL, Reason.TRIGGERED, "somebody moved")
    await settle()
    leads = True
    await settle()
    assert client.calls == []
    recorder.record(thing(), KubeEventType.NORMAL, Reason.TRIGGERED, "somebody moved")
    await settle()
    assert [call.method for call in client.calls] == ["POST"]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
