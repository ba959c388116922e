from __future__ import annotations

import asyncio
from collections.abc import Collection, KeysView
from dataclasses import replace
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from reconcile_runner.apimachinery.fieldpath import FieldPath
from reconcile_runner.apimachinery.labels import LabelSelector, Operator, Requirement
from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.cache.cache import Cache, Indexer, Informer
from reconcile_runner.cache.event import Event, EventType
from reconcile_runner.controller import source as source_module
from reconcile_runner.controller.controller import Controller, ControllerOptions
from reconcile_runner.controller.reconcile import Outcome, Request, Succeeded
from reconcile_runner.controller.source import WatchSources
from reconcile_runner.controller.workqueue import WorkQueue
from reconcile_runner.metrics import Metrics
from reconcile_runner.recorder import EventRecorder
from reconcile_runner.watches.watch import Match, Trigger, Watch
from tests.support.fakes.cache import StillCache
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import FakeClock, settle
from tests.support.queues import depth, drain

THING = GroupVersionKind("example.com", "v1", "Thing")
POD = GroupVersionKind("", "v1", "Pod")
BY_NAME = Match(FieldPath("metadata.name"), FieldPath("spec.friend"))
TRIGGERED = Watch(THING, triggers=(Trigger(POD, BY_NAME, frozenset({EventType.CREATED, EventType.DELETED})),))
ONE, TWO = ObjectKey("default", "one"), ObjectKey("default", "two")

_versions = iter(range(1, 1_000_000))


def thing(key: ObjectKey, friend: str = "jack", generation: int = 1, **labels: str) -> KubeObject:
    return {
        "metadata": {
            "namespace": key.namespace,
            "name": key.name,
            "uid": key.name,
            "labels": labels,
            "generation": generation,
            "resourceVersion": str(next(_versions)),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"friend": friend},
    }


def pod(name: str, namespace: str = "default", **fields: Any) -> KubeObject:
    return {
        "metadata": {"namespace": namespace, "name": name, "uid": name, "resourceVersion": str(next(_versions))},
        **fields,
    }


class Harness:
    """A source over real caches that the test fills, and its queue."""

    def __init__(self, watch: Watch, cache: StillCache | None = None) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics()
        self.queue = WorkQueue(watch.controller_name, self.clock, self.metrics)
        self.client = FakeClient()
        self.recorder = EventRecorder(self.client, self.clock)
        self.cache = cache or StillCache()
        self.source = WatchSources(watch, self.cache, self.queue, self.metrics, self.recorder)
        self.source.start()
        self.things = self.cache.store(THING)

    async def synced(self, things: list[KubeObject], pods: list[KubeObject] | None = None) -> None:
        """List both kinds, things first, and serve the requests of the first lists."""
        self.things.replace(things)
        if pods is not None:
            self.cache.store(POD).replace(pods)
        await asyncio.wait_for(self.source.wait_synced(), timeout=10)
        await self.served()

    async def served(self) -> list[Request]:
        """Take what is ready, in order, and be done with it."""
        return await drain(self.queue)

    def ready(self, priority: int) -> float | None:
        name = TRIGGERED.controller_name
        labels = {"name": name, "controller": name, "priority": str(priority)}
        return self.metrics.registry.get_sample_value("workqueue_depth", labels)


@pytest.fixture(autouse=True)
def logged(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    capture = LogCapture()
    monkeypatch.setattr(source_module, "_log", structlog.wrap_logger(None, processors=[capture]))
    return capture


@pytest.fixture
def harness() -> Harness:
    return Harness(TRIGGERED)


class TestOwnKind:
    async def test_the_first_list_goes_to_the_background_and_live_changes_do_not(self, harness: Harness) -> None:
        harness.things.replace([thing(ONE)])
        assert (harness.ready(-100), harness.ready(0)) == (1, 0)
        harness.things.upsert(thing(TWO))
        assert (harness.ready(-100), harness.ready(0)) == (1, 1)
        assert await harness.served() == [TWO, ONE]

    async def test_what_is_being_deleted_does_not_wait_behind_the_first_list(self, harness: Harness) -> None:
        deleting = thing(TWO)
        deleting["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        harness.things.replace([thing(ONE), deleting])
        assert (harness.ready(-100), harness.ready(0)) == (1, 1)

    async def test_a_new_spec_and_a_deletion_are_queued_and_a_status_write_is_not(self, harness: Harness) -> None:
        await harness.synced([thing(ONE)], [])
        harness.things.upsert({**thing(ONE), "status": {"happy": True}})
        assert await harness.served() == []
        harness.things.upsert(thing(ONE, "joe", generation=2))
        assert await harness.served() == [ONE]
        harness.things.delete(thing(ONE, "joe", generation=2))
        assert await harness.served() == [ONE]

    async def test_a_list_after_a_gap_shows_what_was_missed(self, harness: Harness) -> None:
        await harness.synced([thing(ONE), thing(TWO)], [])
        new = ObjectKey("default", "new")
        harness.things.replace([thing(ONE, generation=2), thing(new)])
        assert set(await harness.served()) == {ONE, TWO, new}

    async def test_a_new_spec_resets_the_back_off_and_a_status_write_does_not(self, harness: Harness) -> None:
        await harness.synced([thing(ONE)], [])
        for _ in range(5):
            harness.queue.add_rate_limited(ONE)
        harness.things.upsert({**thing(ONE), "status": {"happy": False}})
        assert harness.queue.failures(ONE) == 5
        harness.things.upsert(thing(ONE, "joe", generation=2))
        assert harness.queue.failures(ONE) == 0

    async def test_the_creation_time_of_each_object_is_shown_until_it_is_gone(self, harness: Harness) -> None:
        series = b'resource_created_at_seconds{name="one",namespace="default"'
        harness.things.replace([thing(ONE)])
        (line,) = [line for line in harness.metrics.exposition().splitlines() if line.startswith(series)]
        assert line.endswith(b" 1767225600.0")
        harness.things.delete(thing(ONE))
        assert series not in harness.metrics.exposition()

    @pytest.mark.parametrize("stamp", [None, "yesterday", 5])
    async def test_an_unreadable_creation_time_is_no_obstacle(self, harness: Harness, stamp: object) -> None:
        odd = thing(ONE)
        odd["metadata"]["creationTimestamp"] = stamp
        harness.things.replace([odd])
        assert await harness.served() == [ONE]


class TestTrigger:
    async def test_a_trigger_object_reconciles_those_that_name_it(self, harness: Harness) -> None:
        await harness.synced([thing(ONE, "jack"), thing(TWO, "joe")], [])
        harness.cache.store(POD).upsert(pod("jack", "elsewhere"))
        assert await harness.served() == [ONE]
        harness.cache.store(POD).delete(pod("jack", "elsewhere"))
        assert await harness.served() == [ONE]

    async def test_its_requests_go_before_the_background(self, harness: Harness) -> None:
        await harness.synced([thing(ONE, "jack")], [])
        harness.cache.store(POD).upsert(pod("jack"))
        assert (harness.ready(-100), harness.ready(0)) == (0, 1)

    async def test_an_object_that_nobody_names_queues_nothing_and_logs_nothing(
        self, harness: Harness, logged: LogCapture
    ) -> None:
        await harness.synced([thing(ONE, "jack")], [])
        harness.cache.store(POD).upsert(pod("stranger"))
        harness.cache.store(POD).upsert(pod("stranger", status={"phase": "Running"}))
        harness.cache.store(POD).delete(pod("stranger"))
        assert await harness.served() == []
        assert logged.entries == []

    async def test_a_status_update_of_a_named_object_queues_nothing_by_default(self, logged: LogCapture) -> None:
        harness = Harness(replace(TRIGGERED, triggers=(Trigger(POD, BY_NAME),)))
        await harness.synced([thing(ONE, "jack")], [pod("jack", spec={"a": 1})])
        for phase in ("Pending", "Running", "Succeeded"):
            harness.cache.store(POD).upsert(pod("jack", spec={"a": 1}, status={"phase": phase}))
        assert await harness.served() == []
        assert logged.entries == []

    async def test_a_new_value_in_the_object_counts_from_then_on(self, harness: Harness) -> None:
        await harness.synced([thing(ONE, "jack")], [])
        harness.things.upsert(thing(ONE, "joe", generation=2))
        await harness.served()
        harness.cache.store(POD).upsert(pod("jack"))
        assert await harness.served() == []
        harness.cache.store(POD).upsert(pod("joe"))
        assert await harness.served() == [ONE]

    async def test_a_list_after_a_gap_reconciles_for_what_came_and_what_went(self, harness: Harness) -> None:
        await harness.synced([thing(ONE, "jack"), thing(TWO, "joe")], [pod("jack")])
        harness.cache.store(POD).replace([pod("joe")])
        assert set(await harness.served()) == {ONE, TWO}

    async def test_what_is_marked_initial_after_the_first_list_counts_in_the_background(self, harness: Harness) -> None:
        await harness.synced([thing(ONE, "jack")], [])
        harness.cache.get_informer(POD, whole=False, required=True)._tell(
            Event(EventType.CREATED, pod("jack"), is_initial=True)
        )
        assert (harness.ready(-100), harness.ready(0)) == (1, 0)

    async def test_says_which_object_issued_which_event(self, harness: Harness, logged: LogCapture) -> None:
        await harness.synced([thing(ONE, "jack")], [])
        harness.cache.store(POD).upsert(pod("jack", "zoo"))
        assert logged.entries == [
            {
                "event": "trigger object issued an event",
                "log_level": "info",
                "gvk": "example.com/v1, Kind=Thing",
                "event_type": "created",
                "trigger_gvk": "/v1, Kind=Pod",
                "trigger_object": "zoo/jack",
                "requests": 1,
                "objects": ["default/one"],
            }
        ]

    async def test_a_line_names_ten_objects_at_most(self, harness: Harness, logged: LogCapture) -> None:
        await harness.synced([thing(ObjectKey("default", f"t{number}"), "jack") for number in range(500)], [])
        harness.cache.store(POD).upsert(pod("jack"))
        (line,) = logged.entries
        assert line["requests"] == 500
        assert len(line["objects"]) == 11
        assert line["objects"][-1] == "…"
        assert depth(harness.queue) == 500

    async def test_events_and_requests_of_triggers_are_counted(self, harness: Harness) -> None:
        await harness.synced([thing(ONE, "jack"), thing(TWO, "jack")], [])
        harness.cache.store(POD).upsert(pod("jack"))
        harness.cache.store(POD).upsert(pod("stranger"))
        labels = {"controller": TRIGGERED.controller_name, "trigger": str(POD)}
        sample = harness.metrics.registry.get_sample_value
        assert sample("reconcile_runner_trigger_events_total", labels) == 1
        assert sample("reconcile_runner_triggered_requests_total", labels) == 2

    async def test_an_object_that_the_selector_leaves_out_is_not_reconciled_by_a_trigger(
        self, logged: LogCapture
    ) -> None:
        blue = LabelSelector((Requirement("colour", Operator.IN, frozenset({"blue"})),))
        harness = Harness(replace(TRIGGERED, selector=blue))
        await harness.synced([thing(ONE, "jack", colour="red"), thing(TWO, "joe", colour="blue")], [])
        harness.cache.store(POD).upsert(pod("jack"))
        assert await harness.served() == []
        assert logged.entries == []
        harness.cache.store(POD).upsert(pod("joe"))
        assert await harness.served() == [TWO]

    def test_a_kind_is_cached_whole_only_where_more_than_metadata_is_read(self) -> None:
        on_metadata, on_all = Harness(TRIGGERED), Harness(replace(TRIGGERED, triggers=(Trigger(POD, BY_NAME),)))
        assert self.whole_kinds(on_metadata.cache) == {THING}
        assert self.whole_kinds(on_all.cache) == {THING, POD}

    def whole_kinds(self, cache: Cache) -> set[GroupVersionKind]:
        return {informer.gvk for informer in cache.required_informers() if not informer.metadata_only}


@pytest.mark.parametrize("count", [10, 10_000])
async def test_a_trigger_event_costs_the_same_with_many_objects(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    lookups: list[str] = []
    scans: list[GroupVersionKind] = []
    reads: list[GroupVersionKind] = []
    lookup, keys, get = Indexer.lookup, Informer.keys, Informer.get

    def counted_lookup(indexer: Indexer, value: str) -> Collection[ObjectKey]:
        lookups.append(value)
        return lookup(indexer, value)

    def counted_keys(informer: Informer) -> KeysView[ObjectKey]:
        scans.append(informer.gvk)
        return keys(informer)

    def counted_get(informer: Informer, key: ObjectKey) -> KubeObject | None:
        reads.append(informer.gvk)
        return get(informer, key)

    harness = Harness(TRIGGERED)
    await harness.synced([thing(ObjectKey("default", f"t{n}"), f"friend-{n}") for n in range(count)], [])
    monkeypatch.setattr(Indexer, "lookup", counted_lookup)
    monkeypatch.setattr(Informer, "keys", counted_keys)
    monkeypatch.setattr(Informer, "get", counted_get)
    harness.cache.store(POD).upsert(pod("friend-5"))
    assert await harness.served() == [ObjectKey("default", "t5")]
    assert (lookups, scans, reads) == (["friend-5"], [], [THING])


class World:
    """What a role would see: whether a Pod exists at the moment in which it runs. Implements ``Reconciler``."""

    def __init__(self, things: Informer) -> None:
        self._things = things
        self.pods: set[str] = set()
        self.happy: dict[Request, bool] = {}
        self.runs: list[Request] = []

    async def tell(self, request: Request, message: str) -> Outcome:
        raise AssertionError((request, message))

    async def reconcile(self, request: Request) -> Outcome:
        self.runs.append(request)
        obj = self._things.get(request)
        if obj is not None:
            self.happy[request] = obj["spec"]["friend"] in self.pods
        return Succeeded()


class TestNothingIsLostAtTheStart:
    """Orders in which kinds sync and workers run; the world changes in between."""

    @pytest.fixture
    def world(self, harness: Harness) -> World:
        return World(harness.cache.get_informer(THING, whole=True, required=True))

    def run(self, harness: Harness, world: World) -> Controller:
        options = ControllerOptions(workers=2, graceful_shutdown_timeout=1)
        return Controller(THING, harness.queue, world, harness.metrics, harness.clock, options)

    async def drained(self, controller: Controller) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(controller.run(), name="controller")
            await settle(100)
            controller.stop()

    @pytest.mark.parametrize("pods_first", [True, False])
    async def test_the_ordinary_start_runs_each_object_once(
        self, harness: Harness, world: World, pods_first: bool, logged: LogCapture
    ) -> None:
        world.pods = {"jack"}
        pods = [pod("jack"), pod("stranger")]
        if pods_first:
            harness.cache.store(POD).replace(pods)
        harness.things.replace([thing(ONE, "jack"), thing(TWO, "joe")])
        if not pods_first:
            harness.cache.store(POD).replace(pods)
        await asyncio.wait_for(harness.source.wait_synced(), timeout=10)
        await self.drained(self.run(harness, world))
        assert sorted(world.runs) == [ONE, TWO]
        assert world.happy == {ONE: True, TWO: False}
        assert logged.entries == []

    @pytest.mark.parametrize("comes", [True, False], ids=["came before it could be seen", "went before"])
    async def test_runs_before_the_trigger_kind_was_listed_are_repeated(
        self, harness: Harness, world: World, comes: bool, logged: LogCapture
    ) -> None:
        world.pods = set() if comes else {"jack"}
        waiting = asyncio.create_task(harness.source.wait_synced(), name="waiting")
        async with asyncio.TaskGroup() as group:
            controller = self.run(harness, world)
            group.create_task(controller.run(), name="controller")
            harness.things.replace([thing(ONE, "jack")])
            await settle()
            assert world.happy == {ONE: not comes}
            world.pods = {"jack"} if comes else set()
            harness.cache.store(POD).replace([pod("jack")] if comes else [])
            await waiting
            await settle()
            controller.stop()
        assert world.happy == {ONE: comes}
        assert world.runs == [ONE, ONE]
        assert [entry["requests"] for entry in logged.entries] == [1]

    async def test_objects_listed_after_the_trigger_kind_need_no_second_run(
        self, harness: Harness, world: World
    ) -> None:
        harness.cache.store(POD).replace([pod("jack")])
        world.pods = {"jack"}
        waiting = asyncio.create_task(harness.source.wait_synced(), name="waiting")
        async with asyncio.TaskGroup() as group:
            controller = self.run(harness, world)
            group.create_task(controller.run(), name="controller")
            await settle()
            assert not waiting.done()
            harness.things.replace([thing(ONE, "jack")])
            await waiting
            await settle()
            controller.stop()
        assert world.happy == {ONE: True}

    async def test_a_trigger_kind_that_is_missing_keeps_the_source_waiting_but_not_working(
        self, harness: Harness
    ) -> None:
        harness.things.replace([thing(ONE)])
        waiting = asyncio.create_task(harness.source.wait_synced(), name="waiting")
        await settle()
        assert not waiting.done()
        assert await harness.served() == [ONE]
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    async def test_a_trigger_kind_that_goes_and_comes_back_reconciles_for_both(self, harness: Harness) -> None:
        await harness.synced([thing(ONE, "jack")], [pod("jack")])
        pods = harness.cache.get_informer(POD, whole=False, required=True)
        pods.clear()
        assert await harness.served() == [ONE]
        harness.cache.store(POD).replace([pod("jack")])
        assert await harness.served() == [ONE]
