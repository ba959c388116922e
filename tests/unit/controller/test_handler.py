from __future__ import annotations

from collections.abc import Collection

import pytest

from reconcile_runner.apimachinery.fieldpath import FieldPath
from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.cache.event import Event, EventType
from reconcile_runner.cache.informer import Indexer
from reconcile_runner.controller.handler import for_object, for_owners, for_trigger
from reconcile_runner.watches.watch import Match, NamespaceScope, Trigger

POD = GroupVersionKind("", "v1", "Pod")
FIELD = FieldPath("spec.name")


class CountingIndexer(Indexer):
    """An indexer that remembers what was looked up."""

    def __init__(self, names: dict[ObjectKey, list[str]]) -> None:
        super().__init__(FieldPath("spec.names[*]"))
        self.asked: list[str] = []
        for key, values in names.items():
            self.replace(key, None, {"spec": {"names": values}})

    def lookup(self, value: str) -> Collection[ObjectKey]:
        self.asked.append(value)
        return super().lookup(value)


ONE, TWO, ELSEWHERE = ObjectKey("default", "one"), ObjectKey("default", "two"), ObjectKey("other", "three")


@pytest.fixture
def indexer() -> CountingIndexer:
    return CountingIndexer({ONE: ["jack", "joe"], TWO: ["joe"], ELSEWHERE: ["jack"]})


def trigger(source: str = "metadata.name", scope: NamespaceScope = NamespaceScope.ANY) -> Trigger:
    return Trigger(POD, Match(FieldPath(source), FIELD), namespace=scope)


def pod(name: str, namespace: str = "default", **labels: str) -> KubeObject:
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels}}


def test_an_event_of_the_watched_kind_reconciles_its_own_object() -> None:
    assert for_object(Event(EventType.DELETED, pod("jack", "zoo"))) == (ObjectKey("zoo", "jack"),)


def test_a_cluster_scoped_object_has_no_namespace() -> None:
    assert for_object(Event(EventType.CREATED, {"metadata": {"name": "n"}})) == (ObjectKey("", "n"),)


@pytest.mark.parametrize("kind", [EventType.CREATED, EventType.DELETED])
def test_a_trigger_object_reconciles_those_whose_field_has_its_value(indexer: CountingIndexer, kind: EventType) -> None:
    assert set(for_trigger(trigger(), indexer, Event(kind, pod("jack")))) == {ONE, ELSEWHERE}


def test_a_value_that_nobody_has_reconciles_nothing(indexer: CountingIndexer) -> None:
    assert for_trigger(trigger(), indexer, Event(EventType.CREATED, pod("jim"))) == ()


def test_an_object_without_the_source_field_asks_the_index_nothing(indexer: CountingIndexer) -> None:
    assert for_trigger(trigger("metadata.labels.friend"), indexer, Event(EventType.CREATED, pod("jack"))) == ()
    assert indexer.asked == []


def test_a_changed_value_reconciles_the_old_and_the_new_matches_each_once(indexer: CountingIndexer) -> None:
    event = Event(EventType.UPDATED, pod("p", friend="joe"), pod("p", friend="jack"))
    requests = for_trigger(trigger("metadata.labels.friend"), indexer, event)
    assert len(requests) == 3
    assert set(requests) == {ONE, TWO, ELSEWHERE}


def test_the_same_namespace_only_where_asked_for(indexer: CountingIndexer) -> None:
    event = Event(EventType.CREATED, pod("jack", namespace="other"))
    assert for_trigger(trigger(scope=NamespaceScope.SAME), indexer, event) == (ELSEWHERE,)
    assert set(for_trigger(trigger(), indexer, event)) == {ONE, ELSEWHERE}


def test_any_element_of_a_list_matches(indexer: CountingIndexer) -> None:
    event = Event(EventType.CREATED, {"metadata": {"name": "p"}, "friends": ["joe", "jack", "joe"]})
    assert set(for_trigger(trigger("friends[*]"), indexer, event)) == {ONE, TWO, ELSEWHERE}
    assert sorted(indexer.asked) == ["jack", "joe"]


@pytest.mark.parametrize("objects", [10, 100_000])
def test_an_event_costs_one_lookup_whatever_the_number_of_objects(objects: int) -> None:
    indexer = CountingIndexer({ObjectKey("default", f"foo-{n}"): [f"friend-{n}"] for n in range(objects)})
    event = Event(EventType.CREATED, pod("friend-7"))
    assert for_trigger(trigger(), indexer, event) == (ObjectKey("default", "foo-7"),)
    assert indexer.asked == ["friend-7"]


def test_an_update_that_keeps_its_value_costs_one_lookup(indexer: CountingIndexer) -> None:
    for_trigger(trigger(), indexer, Event(EventType.UPDATED, pod("jack", a="b"), pod("jack")))
    assert indexer.asked == ["jack"]


def owned(*names: str) -> KubeObject:
    references = [{"apiVersion": "example.com/v1", "kind": "Foo", "name": name, "uid": name} for name in names]
    return {"metadata": {"name": "x", "namespace": "default", "ownerReferences": references}}


def test_the_owners_before_and_after_an_update_are_asked_for_once_each() -> None:
    foo = GroupVersionKind("example.com", "v1", "Foo")
    found = for_owners(foo, Event(EventType.UPDATED, owned("two"), owned("one", "two")))
    assert [key for key in found if key.namespace] == [TWO, ONE]
    assert for_owners(GroupVersionKind("", "v1", "Foo"), Event(EventType.DELETED, owned("one"))) == ()
