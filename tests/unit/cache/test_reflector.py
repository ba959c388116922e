"""The informer: paging, watching, and which trouble means what. The wire itself is tested in ``test_client_http``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject
from reconcile_runner.cache.reflector import FORBIDDEN_PERIOD, Listing, Reflector
from reconcile_runner.client import ACCEPT_PARTIAL, ACCEPT_PARTIAL_LIST, WatchEventType
from reconcile_runner.client.discovery import Discovery, Resource
from reconcile_runner.errors import (
    ApiError,
    ApiUnreachableError,
    ForbiddenError,
    GoneError,
    NotFoundError,
    UnreadableAnswerError,
)
from tests.support.fakes.client import FakeClient, FakeWatch
from tests.support.fakes.clock import FakeClock, settle

FOO = GroupVersionKind("example.com", "v1", "Foo")
ROOT = "/apis/example.com/v1"
PATH = f"{ROOT}/foos"
RESOURCE = Resource(FOO, "foos", namespaced=True)
GONE = GoneError(410, "Expired", "too old resource version")
CUT = ApiUnreachableError("cut")


def foo(name: str, version: str) -> KubeObject:
    return {"metadata": {"name": name, "resourceVersion": version}}


def page(version: str, *names: str, token: str = "") -> KubeObject:
    return {
        "metadata": {"resourceVersion": version, "continue": token},
        "items": [foo(name, version) for name in names],
    }


class RecordingStore:
    """Implements ``event.Store``: remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def replace(self, objects: Iterable[KubeObject]) -> None:
        self.told.append("list " + ",".join(obj["metadata"]["name"] for obj in objects))

    def upsert(self, obj: KubeObject) -> None:
        self.told.append("put " + obj["metadata"]["name"])

    def delete(self, obj: KubeObject) -> None:
        self.told.append("delete " + obj["metadata"]["name"])


class Watched:
    """An informer on fakes. Random factor 0.5: pauses are 1.5 times their base, watches 450 s long."""

    def __init__(self, *, metadata_only: bool = False, optional: bool = False) -> None:
        self.client = FakeClient()
        self.clock = FakeClock()
        self.store = RecordingStore()
        self.stuck: list[GroupVersionKind] = []
        self.informer = Reflector(
            self.client,
            Discovery(self.client, self.clock),
            RESOURCE,
            "",
            self.store,
            self.clock,
            metadata_only=metadata_only,
            optional=optional,
            random_factor=lambda: 0.5,
            observe_stuck=self.stuck.append,
        )
        self.client.answer(PATH, page("10", "a"))
        self.serve(namespaced=True)
        self.task: asyncio.Task[None] | None = None

    def serve(self, *, namespaced: bool) -> None:
        entry = {"name": "foos", "kind": "Foo", "namespaced": namespaced, "verbs": []}
        self.client.answer(ROOT, {"resources": [entry]})

    async def start(self) -> FakeWatch:
        self.run()
        return await self.client.opened(PATH)

    def run(self) -> asyncio.Task[None]:
        self.task = asyncio.create_task(self.informer.run(), name="informer")
        return self.task

    @property
    def lists(self) -> int:
        return len(self.client.calls_of("GET", PATH))

    @property
    def watches(self) -> int:
        return len(self.client.calls_of("WATCH", PATH))


@pytest_asyncio.fixture
async def watched() -> AsyncIterator[Watched]:
    made = Watched()
    yield made
    if made.task is not None:
        made.task.cancel()
        with suppress(asyncio.CancelledError):
            await made.task


async def test_it_lists_and_then_watches_from_the_lists_resource_version(watched: Watched) -> None:
    watch = await watched.start()
    assert watched.store.told == ["put a", "list a"]
    assert watch.params == {"resourceVersion": "10", "allowWatchBookmarks": "true", "timeoutSeconds": "450"}


async def test_metadata_only_asks_for_partial_objects() -> None:
    watched = Watched(metadata_only=True)
    watch = await watched.start()
    assert watched.client.calls_of("GET", PATH)[0].accept == ACCEPT_PARTIAL_LIST
    assert watch.accept == ACCEPT_PARTIAL
    assert watched.task is not None
    watched.task.cancel()
    await settle()


async def test_pages_are_taken_one_by_one_and_make_one_list(watched: Watched) -> None:
    watched.client.answer(PATH, page("10", "a", token="t1"), page("10", "b", token="t2"), page("10", "c"))
    await watched.start()
    assert watched.store.told == ["put a", "put b", "put c", "list a,b,c"]
    assert [call.params.get("continue") for call in watched.client.calls_of("GET")] == [None, "t1", "t2"]


async def test_events_reach_the_store_and_move_the_resource_version(watched: Watched) -> None:
    watch = await watched.start()
    watch.send(WatchEventType.ADDED, foo("b", "11"))
    watch.send(WatchEventType.MODIFIED, foo("b", "12"))
    watch.send(WatchEventType.DELETED, foo("b", "13"))
    await watched.clock.advance(200.0)
    watch.end()
    assert (await watched.client.opened(PATH)).params["resourceVersion"] == "13"
    assert watched.store.told[2:] == ["put b", "put b", "delete b"]
    assert watched.lists == 1


async def test_a_bookmark_moves_the_resource_version_and_nothing_else(watched: Watched) -> None:
    watch = await watched.start()
    told = list(watched.store.told)
    watch.bookmark("99")
    await watched.clock.advance(60.0)
    watch.end()
    assert (await watched.client.opened(PATH)).params["resourceVersion"] == "99"
    assert watched.store.told == told


@pytest.mark.parametrize("error", [None, CUT], ids=["clean end", "cut or stalled"])
async def test_a_watch_that_was_well_is_taken_up_again_at_once(watched: Watched, error: Exception | None) -> None:
    watch = await watched.start()
    await watched.clock.advance(5.0)
    watch.end() if error is None else watch.fail(error)
    await settle()
    assert (watched.lists, watched.watches) == (1, 2)


async def test_the_old_watch_is_closed_before_the_next_one(watched: Watched) -> None:
    watch = await watched.start()
    await watched.clock.advance(70.0)
    watch.fail(CUT)
    await settle()
    assert watch.closed
    assert not watched.client.watches[1].closed


@pytest.mark.parametrize("outcome", [None, CUT], ids=["end at once", "cut at once"])
async def test_a_storm_of_short_watches_is_bounded(watched: Watched, outcome: Exception | None) -> None:
    watched.run()

    async def end_every_watch() -> None:
        while True:
            watch = await watched.client.opened()
            watch.end() if outcome is None else watch.fail(outcome)

    ending = asyncio.create_task(end_every_watch(), name="storm")
    await watched.clock.advance(3600.0)
    ending.cancel()
    assert watched.lists == 1
    assert watched.watches < 3600 / 30, "one every 45 s in the long run"


async def test_an_api_server_that_is_down_is_asked_at_most_every_four_seconds(watched: Watched) -> None:
    watched.client.answer(PATH, ApiUnreachableError("refused"))
    watched.run()
    await watched.clock.advance(60.0)
    first_minute = watched.lists
    await watched.clock.advance(3600.0)
    assert first_minute <= 6
    assert watched.lists - first_minute <= 3600 / 30


async def test_pauses_grow_and_are_short_again_after_two_minutes_of_health(watched: Watched) -> None:
    watched.client.fail("WATCH", PATH, CUT, times=4)
    watched.run()
    pauses = []
    for _ in range(4):
        await settle()
        assert watched.clock.next_wakeup is not None
        pauses.append(round(watched.clock.next_wakeup, 2))
        await watched.clock.advance(watched.clock.next_wakeup)
    assert pauses == [1.2, 2.4, 4.8, 9.6]
    watch = await watched.client.opened(PATH)
    await watched.clock.advance(120.0)
    watched.client.fail("WATCH", PATH, CUT)
    watch.end()
    await settle()
    assert watched.clock.next_wakeup == pytest.approx(1.2)


async def test_gone_as_an_answer_lists_again_after_a_pause(watched: Watched) -> None:
    watched.client.fail("WATCH", PATH, GONE)
    watched.client.answer(PATH, page("10", "a"), page("20", "b"))
    watched.run()
    await settle()
    assert watched.lists == 1
    await watched.clock.advance(1.2)
    assert (await watched.client.opened(PATH)).params["resourceVersion"] == "20"
    assert watched.store.told[-1] == "list b"


async def test_gone_long_after_the_last_list_lists_again_at_once_whatever_went_wrong_before(watched: Watched) -> None:
    watched.client.fail("WATCH", PATH, CUT, times=5)
    watched.client.fail("WATCH", PATH, GONE)
    watched.client.answer(PATH, page("10", "a"), page("20", "b"))
    watched.run()
    await watched.clock.advance(1.2 + 2.4 + 4.8 + 9.6 + 19.2)
    assert (watched.lists, watched.watches) == (2, 7)


async def test_gone_in_the_stream_lists_again(watched: Watched) -> None:
    watch = await watched.start()
    watched.client.answer(PATH, page("20", "b"))
    await watched.clock.advance(70.0)
    watch.fail(GONE)
    assert (await watched.client.opened(PATH)).params["resourceVersion"] == "20"


async def test_a_continue_token_that_expired_begins_a_new_list_that_is_not_mixed_with_the_old(watched: Watched) -> None:
    watched.client.answer(PATH, page("10", "a", token="t1"), GONE, page("20", "b", token="t2"), page("20", "c"))
    watched.run()
    await watched.clock.advance(1.2)
    assert watched.store.told == ["put a", "put b", "put c", "list b,c"]
    assert [call.params.get("continue") for call in watched.client.calls_of("GET")] == [None, "t1", None, "t2"]
    assert watched.client.watches[0].params["resourceVersion"] == "20"


async def test_too_many_requests_keeps_the_place_and_never_undercuts_retry_after(watched: Watched) -> None:
    watched.client.fail("WATCH", PATH, ApiError(429, "TooManyRequests", "slow down", 40.0))
    watched.run()
    await watched.clock.advance(39.9)
    assert watched.watches == 1
    await watched.clock.advance(0.2)
    assert (watched.lists, watched.watches) == (1, 2)


async def test_forbidden_is_said_once_then_once_a_minute_and_recovers(watched: Watched) -> None:
    with capture_logs() as logs:
        watched.client.answer(PATH, ForbiddenError(403, "Forbidden", "cannot list foos"))
        watched.run()
        await watched.clock.advance(55.0)
        assert [(line["event"], line["error"]) for line in logs] == [("watch failed, trying again", "cannot list foos")]
        await watched.clock.advance(300.0)
        assert 5 <= len(logs) <= 7
        watched.client.answer(PATH, page("10", "a"))
        await watched.clock.advance(60.0)
    assert watched.store.told[-1] == "list a"
    assert logs[-1]["event"] == "watching again"
    assert watched.informer.health.is_connected
    assert watched.informer.health.since == watched.informer.health.last_alive


async def test_an_unreachable_server_is_left_to_the_client_to_speak_of(watched: Watched) -> None:
    with capture_logs() as logs:
        watched.client.answer(PATH, ApiUnreachableError("refused"))
        watched.run()
        await watched.clock.advance(300.0)
    assert [line for line in logs if line["log_level"] != "debug"] == []


async def test_it_returns_when_the_kind_is_gone(watched: Watched) -> None:
    watch = await watched.start()
    watched.client.fail("WATCH", PATH, NotFoundError(404, "NotFound", "no such kind"))
    watched.client.answer(ROOT, {"resources": []})
    await watched.clock.advance(70.0)
    watch.end()
    await settle()
    assert watched.task is not None
    assert watched.task.done()


async def test_it_returns_when_the_kind_changed_its_scope(watched: Watched) -> None:
    watch = await watched.start()
    watched.client.fail("WATCH", PATH, NotFoundError(404, "NotFound", "no such kind"))
    watched.serve(namespaced=False)
    await watched.clock.advance(70.0)
    watch.end()
    await settle()
    assert watched.task is not None
    assert watched.task.done()


@pytest.mark.parametrize(
    "answer", [None, ApiUnreachableError("down"), ApiError(503, "", "starting")], ids=["there", "down", "not ready"]
)
async def test_a_404_of_a_kind_that_is_still_there_lists_again_later(
    watched: Watched, answer: Exception | None
) -> None:
    watched.client.answer(PATH, NotFoundError(404, "NotFound", "starting"), page("10", "a"))
    if answer is not None:
        watched.client.answer(ROOT, answer)
    task = watched.run()
    await watched.clock.advance(1.2)
    assert not task.done()
    assert watched.store.told[-1] == "list a"


async def test_a_watch_that_stalled_without_a_word_proves_nothing_and_is_followed_by_a_list(watched: Watched) -> None:
    watch = await watched.start()
    watched.client.answer(PATH, page("5", "b"))
    await watched.clock.advance(70.0)
    watch.fail(CUT)
    assert (await watched.client.opened(PATH)).params["resourceVersion"] == "5"
    assert watched.store.told[-1] == "list b"


async def test_a_watch_that_stalled_after_a_bookmark_goes_on_from_there(watched: Watched) -> None:
    watch = await watched.start()
    await watched.clock.advance(60.0)
    watch.bookmark("12")
    await watched.clock.advance(70.0)
    watch.fail(CUT)
    assert (await watched.client.opened(PATH)).params["resourceVersion"] == "12"


async def test_health_tells_whether_it_is_connected_and_when_it_last_heard(watched: Watched) -> None:
    def health() -> tuple[bool, float | None]:
        return watched.informer.health.is_connected, watched.informer.health.last_alive

    assert health() == (False, None)
    watch = await watched.start()
    opened = watched.clock.monotonic()
    assert health() == (True, opened)
    await watched.clock.advance(60.0)
    watch.bookmark("11")
    await settle()
    assert health() == (True, opened + 60.0)
    watched.client.fail("WATCH", PATH, CUT)
    watch.end()
    await settle()
    assert health() == (False, opened + 60.0)


async def test_an_optional_kind_that_is_forbidden_is_said_once_and_tried_now_and_then() -> None:
    watched = Watched(optional=True)
    watched.client.answer(PATH, ForbiddenError(403, "Forbidden", "no"))
    with capture_logs() as logs:
        task = watched.run()
        await watched.clock.advance(3 * FORBIDDEN_PERIOD - 1.0)
        assert watched.lists == 3
        watched.client.answer(PATH, page("10", "a"))
        await watched.clock.advance(1.0)
        assert watched.store.told == ["put a", "list a"]
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert [line["error"] for line in logs if "may not be listed and watched" in line["event"]] == ["no"]


async def test_it_says_how_a_list_is_worded_and_where_in_history_the_store_is(watched: Watched) -> None:
    watched.client.answer(PATH, {**page("10", "a"), "kind": "FooList", "apiVersion": "example.com/v1"})
    watch = await watched.start()
    assert watched.informer.listing == Listing(
        "example.com/v1", "FooList", items_have_kind=False, metadata={"continue": ""}
    )
    assert watched.informer.resource_version == "10"
    watch.bookmark("12")
    await settle()
    assert watched.informer.resource_version == "12"


async def fail_at_the_same_place(watched: Watched, times: int) -> None:
    for _ in range(times):
        watch = await watched.client.opened(PATH)
        watch.fail(UnreadableAnswerError("no watch event"))
        await settle()
        assert watched.clock.next_wakeup is not None
        if watched.informer.health.is_stuck:
            assert watched.stuck[-1] == FOO
        await watched.clock.advance(watched.clock.next_wakeup)


async def test_an_answer_that_cannot_be_read_once_is_a_stream_that_broke_off(watched: Watched) -> None:
    watched.run()
    with capture_logs() as lines:
        await fail_at_the_same_place(watched, 1)
    assert not watched.informer.health.is_stuck
    assert (watched.stuck, watched.lists) == ([], 1)
    assert [line for line in lines if line["log_level"] == "warning"] == []


async def test_what_cannot_be_read_again_at_the_same_place_is_told_and_then_listed_again(watched: Watched) -> None:
    watched.run()
    with capture_logs() as lines:
        await fail_at_the_same_place(watched, 2)
        assert watched.informer.health.is_stuck
        assert watched.lists == 1
        watched.client.answer(PATH, page("20", "a"))
        await fail_at_the_same_place(watched, 1)
    [line] = [line for line in lines if line["log_level"] == "warning"]
    assert line["event"] == "the API server's answer cannot be read, trying again"
    watch = await watched.client.opened(PATH)
    assert (watched.lists, watched.stuck, watch.params["resourceVersion"]) == (2, [FOO, FOO], "20")
    assert not watched.informer.health.is_stuck


async def test_progress_between_two_unreadable_answers_makes_them_two_that_broke_off(watched: Watched) -> None:
    watched.run()
    for version in ("11", "12", "13"):
        watch = await watched.client.opened(PATH)
        watch.send(WatchEventType.MODIFIED, foo("a", version))
        await settle()
        watch.fail(UnreadableAnswerError("no watch event"))
        await settle()
        assert watched.clock.next_wakeup is not None
        await watched.clock.advance(watched.clock.next_wakeup)
    assert (watched.stuck, watched.lists) == ([], 1)
