from __future__ import annotations

from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from reconcile_runner.apimachinery.labels import LabelSelector, Operator, Requirement
from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.cache.event import Event, EventType
from reconcile_runner.cache.informer import Informer, NamespaceStore
from reconcile_runner.client.discovery import Resource
from reconcile_runner.controller import source as source_module
from reconcile_runner.controller.dependents import MAX_OBSERVED, Dependents
from reconcile_runner.controller.reconcile import Request
from reconcile_runner.controller.workqueue import WorkQueue
from reconcile_runner.metrics import Metrics
from reconcile_runner.watches.watch import Watch
from tests.support.fakes.cache import StillCache
from tests.support.fakes.clock import FakeClock
from tests.support.queues import drain

FOO, BAR = GroupVersionKind("example.com", "v1", "Foo"), GroupVersionKind("example.com", "v1", "Bar")
OWNER = ObjectKey("ns", "owner")
VERBS = frozenset({"get", "list", "watch", "create"})
MAPS = Resource(GroupVersionKind("", "v1", "ConfigMap"), "configmaps", namespaced=True, verbs=VERBS)
ROLES = Resource(GroupVersionKind("rbac", "v1", "ClusterRole"), "clusterroles", namespaced=False, verbs=VERBS)
SERVICES = Resource(GroupVersionKind("", "v1", "Service"), "services", True, frozenset({"status"}), VERBS)
EVENTS = Resource(GroupVersionKind("", "v1", "Event"), "events", namespaced=True, verbs=VERBS)
REVIEWS = Resource(GroupVersionKind("a", "v1", "Review"), "reviews", namespaced=True, verbs=frozenset({"create"}))


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    capture = LogCapture()
    monkeypatch.setattr(source_module, "_log", structlog.wrap_logger(None, processors=[capture]))
    return capture


class Bench:
    """Dependents of watches on fake kinds. Each watch has one object, ``ns/owner``."""

    def __init__(self, *watches: Watch) -> None:
        self.cache = StillCache()
        self.metrics = Metrics()
        self.dependents = Dependents(self.cache, self.metrics)
        self.queues: dict[GroupVersionKind, WorkQueue] = {}
        for watch in watches or (Watch(FOO),):
            owners = Informer(watch.gvk, metadata_only=False)
            NamespaceStore(owners, "").replace([{"metadata": {"namespace": "ns", "name": "owner"}}])
            self.queues[watch.gvk] = WorkQueue(watch.controller_name, FakeClock(), Metrics())
            self.dependents.add_watch(watch, owners, self.queues[watch.gvk])

    def observe(self, resource: Resource, obj: KubeObject) -> None:
        """Take the answer to a request during which nothing else happened."""
        self.dependents.observe(resource, obj, self.dependents.lists_seen(resource))

    async def wanted(self, gvk: GroupVersionKind = FOO) -> set[Request]:
        return set(await drain(self.queues[gvk]))


def owned(version: int = 1, name: str = "x", kind: str = "Foo", owner: str = "owner", **meta: Any) -> KubeObject:
    references = [{"apiVersion": "example.com/v1", "kind": kind, "name": owner, "uid": "u"}]
    own = {"name": name, "namespace": "ns", "uid": name, "resourceVersion": str(version)}
    return {"metadata": {**own, "ownerReferences": references, **meta}}


def not_owned() -> KubeObject:
    return {"metadata": {"name": "y", "namespace": "ns", "uid": "y", "resourceVersion": "1"}}


async def test_a_dependent_has_its_kind_watched_and_its_owner_reconciled() -> None:
    b = Bench()
    b.observe(MAPS, owned())
    store = b.cache.store(MAPS.gvk)
    store.replace([owned(), not_owned()])
    assert await b.wanted() == set()
    store.upsert(owned(2))
    assert await b.wanted() == {OWNER}
    store.delete(owned(3))
    assert await b.wanted() == {OWNER}
    store.delete(not_owned())
    assert await b.wanted() == set()


async def test_events_of_dependents_that_reconcile_an_owner_are_counted() -> None:
    b = Bench()
    b.observe(MAPS, owned())
    store = b.cache.store(MAPS.gvk)
    store.replace([owned(), not_owned()])
    store.upsert(owned(2))
    store.delete(not_owned())
    labels = {"controller": Watch(FOO).controller_name, "dependent": str(MAPS.gvk)}
    assert b.metrics.registry.get_sample_value("reconcile_runner_dependent_events_total", labels) == 1


async def test_what_nobody_owns_has_nothing_watched() -> None:
    b = Bench()
    for obj in (not_owned(), owned(kind="Other")):
        b.observe(MAPS, obj)
    assert b.cache.optional == {}


@pytest.mark.parametrize("resource", [EVENTS, REVIEWS], ids=["events", "what cannot be watched"])
async def test_some_kinds_are_no_dependents(resource: Resource) -> None:
    b = Bench()
    b.observe(resource, owned())
    assert b.cache.optional == {}
    assert not b.dependents.can_watch(resource)


@pytest.mark.parametrize(
    ("seen", "listed", "is_news"),
    [
        (owned(), [owned()], False),
        (owned(), [], True),
        (owned(), [owned(2)], True),
        (owned(generation=1), [owned(2, generation=1)], False),
        (owned(generation=1), [owned(2, generation=2)], True),
        (owned(), [owned(5, uid="another")], True),
    ],
    ids=["the same", "deleted", "changed", "its status changed", "its spec changed", "created again"],
)
async def test_what_happened_between_an_answer_and_the_first_list_is_not_lost(
    seen: KubeObject, listed: list[KubeObject], is_news: bool
) -> None:
    b = Bench()
    b.observe(MAPS, seen)
    store = b.cache.store(MAPS.gvk)
    for obj in listed:
        store.upsert(obj)
    store.replace(listed)
    assert await b.wanted() == ({OWNER} if is_news else set())
    store.replace(listed)
    assert await b.wanted() == set()


async def test_what_came_and_went_while_no_watch_was_open_is_found_by_the_next_list() -> None:
    b = Bench()
    b.observe(MAPS, owned())
    store = b.cache.store(MAPS.gvk)
    store.replace([owned()])
    b.observe(MAPS, owned(7, name="short-lived"))
    store.replace([owned()])
    assert await b.wanted() == {OWNER}


async def test_a_list_that_came_while_an_answer_was_on_its_way_leaves_a_doubt_that_a_run_clears() -> None:
    b = Bench()
    b.observe(MAPS, owned(name="first"))
    before = b.dependents.lists_seen(MAPS)
    store = b.cache.store(MAPS.gvk)
    store.replace([owned(name="first"), owned(name="shown")])
    b.dependents.observe(MAPS, owned(name="shown"), before)
    assert await b.wanted() == set()
    b.dependents.observe(MAPS, owned(5, name="deleted"), before)
    assert await b.wanted() == {OWNER}


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "metadata"])
async def test_the_first_dependent_of_a_kind_that_is_watched_anyway_is_not_taken_for_deleted(
    logged: LogCapture, whole: bool
) -> None:
    b = Bench()
    b.cache.get_informer(MAPS.gvk, whole=whole, required=True)
    store = b.cache.store(MAPS.gvk)
    store.replace([not_owned()])
    b.observe(MAPS, owned(2))
    store.upsert(owned(2))
    assert (await b.wanted(), logged.entries) == (set(), [])
    store.delete(owned(3))
    assert await b.wanted() == {OWNER}


async def test_a_list_during_the_request_for_the_first_dependent_of_a_watched_kind_leaves_a_doubt() -> None:
    b = Bench()
    b.cache.get_informer(MAPS.gvk, whole=True, required=True)
    store = b.cache.store(MAPS.gvk)
    store.replace([])
    before = b.dependents.lists_seen(MAPS)
    store.replace([])
    b.dependents.observe(MAPS, owned(), before)
    assert await b.wanted() == {OWNER}


async def test_what_the_cache_has_shown_and_seen_go_is_not_waited_for() -> None:
    b = Bench()
    b.observe(MAPS, owned())
    store = b.cache.store(MAPS.gvk)
    store.replace([owned(), owned(2, name="gone")])
    store.delete(owned(3, name="gone"))
    assert await b.wanted() == {OWNER}
    b.observe(MAPS, owned(2, name="gone"))
    store.replace([owned()])
    assert await b.wanted() == set()


async def test_an_object_of_another_namespace_is_not_missed_in_a_list_of_one() -> None:
    b = Bench()
    b.observe(MAPS, owned())
    kind = b.cache.optional[MAPS.gvk]
    one, _ = kind.scopes(["elsewhere", "ns"])
    one.replace([])
    assert await b.wanted() == set()


async def test_no_more_is_remembered_than_is_bearable() -> None:
    b = Bench()
    for number in range(MAX_OBSERVED + 10):
        b.observe(MAPS, owned(name=f"x-{number}", owner="owner" if number < 10 else "nobody"))
    b.cache.store(MAPS.gvk).replace([])
    assert await b.wanted() == set()


@pytest.mark.parametrize(
    ("resource", "obj", "whole"),
    [
        (MAPS, owned(), False),
        (SERVICES, owned(), True),
        (SERVICES, owned(generation=1), False),
    ],
    ids=["no status", "a status without generations", "a status and generations"],
)
def test_whole_objects_are_kept_only_where_metadata_does_not_tell_spec_from_status(
    resource: Resource, obj: KubeObject, whole: bool
) -> None:
    b = Bench()
    b.observe(resource, obj)
    assert b.cache.optional[resource.gvk].metadata_only is not whole


async def test_one_kind_serves_all_watches_but_those_that_blacklist_it() -> None:
    b = Bench(Watch(FOO), Watch(BAR, blacklist=frozenset({MAPS.gvk})))
    b.observe(MAPS, owned(kind="Bar"))
    assert b.cache.optional == {}
    b.observe(MAPS, owned())
    store = b.cache.store(MAPS.gvk)
    store.replace([owned(), owned(name="z", kind="Bar")])
    store.delete(owned())
    store.delete(owned(name="z", kind="Bar"))
    assert (await b.wanted(FOO), await b.wanted(BAR)) == ({OWNER}, set())


async def test_two_watches_hear_each_of_their_own_dependents() -> None:
    b = Bench(Watch(FOO), Watch(BAR))
    b.observe(MAPS, owned())
    store = b.cache.store(MAPS.gvk)
    store.replace([owned(), owned(name="z", kind="Bar")])
    store.delete(owned(name="z", kind="Bar"))
    assert (await b.wanted(FOO), await b.wanted(BAR)) == (set(), {OWNER})


async def test_a_watch_that_wants_no_dependents_gets_none() -> None:
    b = Bench(Watch(FOO, watch_dependent_resources=False))
    b.observe(MAPS, owned())
    assert b.cache.optional == {}


async def test_an_owner_that_is_not_there_or_not_selected_is_not_asked_for() -> None:
    selector = LabelSelector((Requirement("app", Operator.EXISTS),))
    b = Bench(Watch(FOO, selector=selector), Watch(BAR))
    b.observe(MAPS, owned())
    store = b.cache.store(MAPS.gvk)
    store.replace([owned(), owned(name="z", kind="Bar", owner="nobody")])
    store.replace([])
    assert (await b.wanted(FOO), await b.wanted(BAR)) == (set(), set())


@pytest.mark.parametrize("asked_for", [True, False])
@pytest.mark.parametrize("by_reference", [True, False], ids=["reference", "annotation"])
async def test_cluster_scoped_dependents_by_annotation_are_watched_where_asked_for(
    asked_for: bool, by_reference: bool
) -> None:
    b = Bench(Watch(FOO, watch_cluster_scoped_resources=asked_for))
    obj = owned(namespace="")
    if not by_reference:
        annotations = {
            "operator-sdk/primary-resource": "ns/owner",
            "operator-sdk/primary-resource-type": "Foo.example.com",
        }
        obj = owned(namespace="", ownerReferences=[], annotations=annotations)
    b.observe(ROLES, obj)
    assert (ROLES.gvk in b.cache.optional) is (asked_for or by_reference)
    if not by_reference and asked_for:
        store = b.cache.store(ROLES.gvk)
        store.replace([obj])
        store.delete(obj)
        assert await b.wanted() == {OWNER}


async def test_another_version_of_a_kind_is_not_watched_a_second_time() -> None:
    b = Bench()
    b.observe(MAPS, owned())
    newer = Resource(GroupVersionKind("", "v2", "ConfigMap"), "configmaps", namespaced=True, verbs=VERBS)
    b.observe(newer, owned(2))
    assert list(b.cache.optional) == [MAPS.gvk]


def test_reads_are_looked_at_until_a_kind_is_listed() -> None:
    b = Bench()
    assert not b.dependents.is_watched(MAPS)
    b.observe(MAPS, owned())
    assert not b.dependents.is_watched(MAPS)
    b.cache.store(MAPS.gvk).replace([])
    assert b.dependents.is_watched(MAPS)


def test_a_kind_that_is_watched_anyway_is_observed() -> None:
    b = Bench()
    listener = b.dependents.observer(lambda gvk: MAPS if gvk == MAPS.gvk else None, MAPS.gvk)
    listener(Event(EventType.CREATED, not_owned(), is_initial=True))
    assert b.cache.optional == {}
    listener(Event(EventType.CREATED, owned(), is_initial=True))
    assert MAPS.gvk in b.cache.optional


async def test_says_which_dependent_issued_which_event(logged: LogCapture) -> None:
    b = Bench()
    b.observe(MAPS, owned())
    store = b.cache.store(MAPS.gvk)
    store.replace([owned()])
    store.delete(owned(2))
    assert logged.entries == [
        {
            "event": "dependent issued an event",
            "log_level": "info",
            "gvk": str(FOO),
            "event_type": "deleted",
            "dependent_gvk": str(MAPS.gvk),
            "dependent": "ns/x",
            "requests": 1,
            "objects": ["ns/owner"],
        }
    ]
