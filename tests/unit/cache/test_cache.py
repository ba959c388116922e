"""The cache of all kinds: informers, namespaces, kinds that come and go, and kinds that are followed later."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.cache.cache import RECONNECT_TIMEOUT, Cache
from reconcile_runner.cache.event import Event, EventType
from reconcile_runner.cache.reflector import FORBIDDEN_PERIOD
from reconcile_runner.client import ACCEPT_JSON, ACCEPT_PARTIAL, WatchEventType
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.errors import ApiUnreachableError, ForbiddenError, NotFoundError
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import FakeClock, settle
from tests.unit.cache.foos import FOO, foo, is_synced, key, summary

FORBIDDEN = ForbiddenError(403, "Forbidden", "you may not")


class Served:
    """A cache over the fake client, whose server serves Foos."""

    def __init__(self, *namespaces: str) -> None:
        self.client = FakeClient()
        self.clock = FakeClock()
        self.discovery = Discovery(self.client, self.clock)
        self.cache = Cache(self.client, self.discovery, self.clock, namespaces)
        self.serve(namespaced=True)

    def serve(self, *, namespaced: bool) -> None:
        entry = {"name": "foos", "kind": "Foo", "namespaced": namespaced, "verbs": ["list", "watch"]}
        self.client.answer("/apis/example.com/v1", {"resources": [entry]})

    def serve_nothing(self) -> None:
        self.client.answer("/apis/example.com/v1", {"resources": []})

    def list_at(self, path: str, *objects: KubeObject) -> None:
        self.client.answer(path, {"metadata": {"resourceVersion": "9"}, "items": [copy.deepcopy(o) for o in objects]})

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.cache.run(), name="cache")
        await settle(50)
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


ALL = "/apis/example.com/v1/foos"


async def test_a_kind_is_synced_once_it_is_listed() -> None:
    served = Served()
    served.list_at(ALL, foo("a"))
    kind = served.cache.get_informer(FOO, whole=True, required=True)
    assert served.cache.unsynced() == [FOO]
    async with served.running():
        await served.cache.wait_synced()
        assert served.cache.has_synced
        assert set(kind.keys()) == {key("a")}
        assert [health.is_connected for health in served.cache.health()] == [True]


async def test_one_informer_serves_all_who_require_a_kind_and_is_whole_if_anybody_needs_it_so() -> None:
    served = Served()
    served.list_at(ALL)
    first = served.cache.get_informer(FOO, whole=False, required=True)
    assert served.cache.get_informer(FOO, whole=True, required=True) is first
    assert served.cache.get_informer(FOO, whole=False, required=True) is first
    assert not first.metadata_only
    assert served.cache.required_informer(FOO) is first
    async with served.running():
        assert [watch.accept for watch in served.client.watches] == [ACCEPT_JSON]
        with pytest.raises(RuntimeError):
            served.cache.get_informer(FOO, whole=True, required=True)


async def test_metadata_alone_is_asked_for_where_nobody_needs_more() -> None:
    served = Served()
    served.list_at(ALL)
    served.cache.get_informer(FOO, whole=False, required=True)
    async with served.running():
        assert [watch.accept for watch in served.client.watches] == [ACCEPT_PARTIAL]


async def test_each_namespace_has_an_informer() -> None:
    served = Served("one", "two")
    paths = [f"/apis/example.com/v1/namespaces/{namespace}/foos" for namespace in ("one", "two")]
    for path in paths:
        served.list_at(path)
    served.cache.get_informer(FOO, whole=True, required=True)
    async with served.running():
        assert [watch.path for watch in served.client.watches] == paths
        assert served.cache.has_synced


async def test_a_cluster_scoped_kind_has_one_informer_whatever_the_namespaces() -> None:
    served = Served("one", "two")
    served.serve(namespaced=False)
    served.list_at(ALL)
    served.cache.get_informer(FOO, whole=True, required=True)
    async with served.running():
        assert [watch.path for watch in served.client.watches] == [ALL]


async def test_a_kind_that_is_missing_is_unsynced_until_it_comes() -> None:
    served = Served()
    served.serve_nothing()
    served.list_at(ALL, foo("a"))
    kind = served.cache.get_informer(FOO, whole=True, required=True)
    async with served.running():
        assert not is_synced(kind)
        assert served.cache.health() == []
        assert served.cache.missing() == [FOO]
        served.serve(namespaced=True)
        await served.clock.advance(2.0)
        assert is_synced(kind)
        assert served.cache.missing() == []


async def test_objects_of_a_kind_that_is_removed_are_deleted_and_come_back_with_it() -> None:
    served = Served("default")
    path = "/apis/example.com/v1/namespaces/default/foos"
    served.list_at(path, foo("a"))
    kind = served.cache.get_informer(FOO, whole=True, required=True)
    events: list[Event] = []
    kind.add_event_handler(events.append)
    async with served.running():
        served.serve_nothing()
        served.client.fail("WATCH", path, NotFoundError(404, "NotFound", "no such kind"))
        served.client.watches[0].end()
        await served.clock.advance(3.0)
        assert summary(events) == [("created", "a"), ("deleted", "a")]
        assert kind.has_synced
        served.serve(namespaced=False)
        served.list_at(ALL, foo("b", namespace=""))
        await served.clock.advance(3.0)
        assert summary(events) == [("created", "b")]
        assert served.client.watches[-1].path == ALL
        served.client.watches[-1].send(WatchEventType.DELETED, foo("b", 3, namespace=""))
        await settle()
        assert summary(events) == [("deleted", "b")]


async def test_a_followed_kind_is_watched_at_once_and_nobody_waits_for_it() -> None:
    served = Served()
    served.list_at(ALL, foo("a"))
    async with served.running():
        kind = served.cache.get_informer(FOO, whole=False, required=False)
        assert served.cache.has_synced
        assert served.cache.missing() == []
        await settle(50)
        assert set(kind.keys()) == {key("a")}
        assert [watch.accept for watch in served.client.watches] == [ACCEPT_PARTIAL]
        assert served.cache.get_informer(FOO, whole=True, required=False) is kind
        assert served.cache.health() == []
        assert served.cache.required_informer(FOO) is None


async def test_a_kind_followed_before_the_start_is_watched_from_the_start_on() -> None:
    served = Served()
    served.list_at(ALL, foo("a"))
    kind = served.cache.get_informer(FOO, whole=True, required=False)
    async with served.running():
        assert set(kind.keys()) == {key("a")}


async def test_a_required_kind_is_shared_with_who_follows_it_unless_it_holds_too_little() -> None:
    served = Served()
    served.list_at(ALL)
    required = served.cache.get_informer(FOO, whole=False, required=True)
    async with served.running():
        assert served.cache.get_informer(FOO, whole=False, required=False) is required
        assert served.cache.get_informer(FOO, whole=True, required=False) is not required
        await settle(50)
        assert [watch.accept for watch in served.client.watches] == [ACCEPT_PARTIAL, ACCEPT_JSON]


@pytest.mark.parametrize("verb", ["GET", "WATCH"], ids=["list", "watch"])
async def test_a_followed_kind_that_is_forbidden_costs_one_warning_and_few_requests(verb: str) -> None:
    served = Served()
    served.list_at(ALL, foo("a"))
    served.client.fail(verb, ALL, FORBIDDEN, times=3)
    with capture_logs() as logs:
        async with served.running():
            kind = served.cache.get_informer(FOO, whole=False, required=False)
            for _ in range(2):
                await settle(50)
                await served.clock.advance(FORBIDDEN_PERIOD)
            await settle(50)
            assert len(served.client.calls_of(verb, ALL)) == 3
            assert served.cache.view(FOO, "", whole=False) is None
            await served.clock.advance(FORBIDDEN_PERIOD)
            await settle(50)
            assert set(kind.keys()) == {key("a")}
            assert served.cache.view(FOO, "", whole=False) is not None
    assert len([line for line in logs if "may not be listed and watched" in line["event"]]) == 1


@pytest.mark.parametrize("forbidden", ["t1", "t2"])
async def test_a_namespace_that_is_forbidden_costs_the_others_nothing(forbidden: str) -> None:
    served = Served("t1", "t2")
    paths = {name: f"/apis/example.com/v1/namespaces/{name}/foos" for name in ("t1", "t2")}
    allowed = {"t1": "t2", "t2": "t1"}[forbidden]
    served.list_at(paths[allowed], foo("a", namespace=allowed))
    served.client.answer(paths[forbidden], FORBIDDEN)
    seen: list[Event] = []
    with capture_logs() as logs:
        async with served.running():
            kind = served.cache.get_informer(FOO, whole=False, required=False)
            kind.add_event_handler(seen.append)
            for _ in range(3):
                await settle(50)
                await served.clock.advance(FORBIDDEN_PERIOD)
            assert served.cache.view(FOO, allowed, whole=False) is not None
            assert served.cache.view(FOO, forbidden, whole=False) is None
            assert served.cache.view(FOO, "", whole=False) is None
            [watch] = [watch for watch in served.client.watches if not watch.closed]
            watch.send(WatchEventType.DELETED, foo("a", namespace=allowed))
            await settle(50)
    assert [event.type for event in seen] == [EventType.CREATED, EventType.DELETED]
    refused = [line["namespace"] for line in logs if "may not be listed and watched" in line["event"]]
    assert refused == [forbidden]


async def test_a_followed_kind_that_is_removed_is_empty_until_it_is_followed_again() -> None:
    served = Served()
    served.list_at(ALL, foo("a"))
    async with served.running():
        kind = served.cache.get_informer(FOO, whole=False, required=False)
        await settle(50)
        served.serve_nothing()
        served.client.fail("WATCH", ALL, NotFoundError(404, "NotFound", "no such kind"))
        served.client.watches[0].end()
        await served.clock.advance(5.0)
        await settle(50)
        assert set(kind.keys()) == set()
        asked = len(served.client.calls)
        await served.clock.advance(600.0)
        assert len(served.client.calls) == asked
        served.serve(namespaced=True)
        assert served.cache.get_informer(FOO, whole=False, required=False) is kind
        await settle(50)
        assert set(kind.keys()) == {key("a")}


async def test_a_view_is_of_a_complete_kind_with_an_open_watch() -> None:
    served = Served("one", "two")
    for namespace in ("one", "two"):
        served.list_at(f"/apis/example.com/v1/namespaces/{namespace}/foos", foo("a", namespace=namespace))
    kind = served.cache.get_informer(FOO, whole=True, required=True)
    assert served.cache.view(FOO, "one", whole=True) is None
    async with served.running():
        view = served.cache.view(FOO, "one", whole=True)
        assert view is not None
        assert (view.informer, view.resource_version) == (kind, "9")
        served.client.watches[0].send(WatchEventType.MODIFIED, foo("a", 12, namespace="one"))
        await settle()
        assert [_version(served, namespace) for namespace in ("one", "two", "three", "")] == ["12", "9", None, None]
        served.client.watches[0].end()
        await settle(1)
        assert _version(served, "one") is None
        assert _version(served, "two") == "9"


def _version(served: Served, namespace: str) -> str | None:
    view = served.cache.view(FOO, namespace, whole=True)
    return view.resource_version if view is not None else None


async def test_a_view_of_whole_objects_is_not_one_of_their_metadata() -> None:
    served = Served()
    served.list_at(ALL)
    served.cache.get_informer(FOO, whole=False, required=True)
    async with served.running():
        assert served.cache.view(FOO, "", whole=True) is None
        assert served.cache.view(FOO, "", whole=False) is not None


async def test_a_required_kind_must_be_served_listed_and_watched() -> None:
    served = Served()
    served.cache.get_informer(FOO, whole=True, required=True)
    assert served.cache.problem() == f"not served: {FOO}"
    served.client.answer(ALL, ApiUnreachableError("no answer"), {"metadata": {"resourceVersion": "9"}, "items": []})
    async with served.running():
        assert served.cache.problem() == f"not listed yet: {FOO}"
        await served.clock.advance(5)
        assert served.cache.problem() is None
        served.client.fail("WATCH", ALL, ApiUnreachableError("no answer"), times=100)
        served.client.watches[-1].end()
        await settle()
        assert served.cache.problem() is None, "watches are opened again all the time"
        await served.clock.advance(RECONNECT_TIMEOUT + 1)
        assert served.cache.problem() == f"no watch is open: {FOO}"
