"""An annotation is no authority: what objects of one namespace may have reconciled in others."""

from __future__ import annotations

from typing import Any

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.cache.informer import Informer, NamespaceStore
from reconcile_runner.client.discovery import Resource
from reconcile_runner.controller.budget import FOREIGN_PERIOD, NamespaceBudget
from reconcile_runner.controller.dependents import Dependents
from reconcile_runner.controller.workqueue import Priority, WorkQueue
from reconcile_runner.metrics import Metrics
from reconcile_runner.watches.watch import Watch
from tests.support.fakes.cache import StillCache
from tests.support.fakes.clock import FakeClock
from tests.support.queues import depth, drain

FOO = GroupVersionKind("example.com", "v1", "Foo")
BURST = 50
VICTIM = ObjectKey("victim", "foo")
GLOBAL = ObjectKey("", "foo")
MAPS = Resource(
    GroupVersionKind("", "v1", "ConfigMap"), "configmaps", namespaced=True, verbs=frozenset({"get", "list", "watch"})
)
OWNED = {"operator-sdk/primary-resource": str(VICTIM), "operator-sdk/primary-resource-type": "Foo.example.com"}
REFERENCE = {"apiVersion": "example.com/v1", "kind": "Foo", "name": GLOBAL.name, "uid": "u"}


class Bench:
    """A watch with an object in ``victim`` and a cluster-scoped one, and ConfigMaps that name them as owners."""

    def __init__(self) -> None:
        self.clock, self.metrics = FakeClock(), Metrics()
        self.queue = WorkQueue("foo-v1-controller", self.clock, self.metrics, debounce=0.0)
        self.queue._budget = NamespaceBudget(self.clock, BURST)
        cache = StillCache()
        dependents = Dependents(cache, self.metrics)
        owners = Informer(FOO, metadata_only=False)
        names = [{"metadata": {"namespace": key.namespace, "name": key.name}} for key in (VICTIM, GLOBAL)]
        NamespaceStore(owners, "").replace(names)
        dependents.add_watch(Watch(FOO), owners, self.queue)
        dependents.observe(MAPS, self.config_map("victim"), dependents.lists_seen(MAPS))
        self.store = cache.store(MAPS.gvk)
        self.store.replace([self.config_map("victim")])
        self.version = 1

    def config_map(self, namespace: str, version: int = 1, **meta: Any) -> KubeObject:
        meta = meta or {"annotations": OWNED}
        own = {"namespace": namespace, "name": "m", "uid": namespace, "resourceVersion": str(version)}
        return {"metadata": {**own, **meta}}

    def change(self, namespace: str, **meta: Any) -> None:
        self.version += 1
        self.store.upsert(self.config_map(namespace, self.version, **meta))

    async def runs(self, namespace: str, times: int, **meta: Any) -> int:
        """Return how many runs so many changes in a row make, each after the run for the one before."""
        self.change(namespace, **meta)
        runs = len(await drain(self.queue))
        for _ in range(times):
            self.change(namespace, **meta)
            runs += len(await drain(self.queue))
        return runs


async def test_who_edits_an_object_elsewhere_cannot_keep_an_owner_running() -> None:
    b = Bench()
    assert await b.runs("attacker", 500) == BURST
    for _ in range(10):
        await b.clock.advance(FOREIGN_PERIOD)
        assert await b.runs("attacker", 100) == 1


async def test_a_cluster_scoped_owner_is_no_exception() -> None:
    b = Bench()
    assert await b.runs("attacker", 500, ownerReferences=[REFERENCE]) == BURST


async def test_what_waits_for_a_budget_is_not_lost() -> None:
    b = Bench()
    await b.runs("attacker", BURST + 1)
    assert depth(b.queue) == 0
    await b.clock.advance(FOREIGN_PERIOD)
    assert await drain(b.queue) == [VICTIM]


async def test_one_namespaces_budget_is_its_own_and_the_owners_namespace_needs_none() -> None:
    b = Bench()
    await b.runs("attacker", 500)
    assert await b.runs("other", 3) == 3
    assert await b.runs("victim", 500) == 501


async def test_what_comes_from_another_namespace_waits_behind_what_somebody_changed() -> None:
    b = Bench()
    b.change("attacker")
    b.change("attacker")
    assert b.queue.urgency() is Priority.BACKGROUND
    changed = ObjectKey("tenant", "foo")
    b.queue.add(changed)
    assert await drain(b.queue) == [changed, VICTIM]


async def test_what_is_coming_anyway_costs_no_budget() -> None:
    b = Bench()
    for _ in range(500):
        b.change("attacker")
    assert await drain(b.queue) == [VICTIM]
    assert await b.runs("attacker", 500) == BURST - 1


async def test_a_budget_is_whole_again_after_a_while_and_forgotten_then() -> None:
    clock = FakeClock()
    budget = NamespaceBudget(clock, burst=2, period=10.0)
    delays = []
    for _ in range(4):
        delays.append(budget.delay("a"))
        budget.spend("a")
    assert delays == [0.0, 0.0, 10.0, 20.0]
    await clock.advance(40.0)
    for number in range(2000):
        budget.spend(str(number))
    await clock.advance(10.0)
    budget.spend("b")
    assert budget._whole_at.keys() == {"b"}
