"""One kind's cache: what happened to an object, indexes, namespaces."""

from __future__ import annotations

import pytest

from reconcile_runner.apimachinery.fieldpath import FieldPath
from reconcile_runner.cache.event import Event, EventType, Store
from reconcile_runner.cache.informer import MAX_RECENT_VERSIONS, Informer, NamespaceStore
from tests.unit.cache.foos import FOO, foo, is_synced, key, summary

NAME = FieldPath("spec.name")


@pytest.fixture
def kind() -> Informer:
    return Informer(FOO, metadata_only=False)


@pytest.fixture
def store(kind: Informer) -> Store:
    return kind.scopes([""])[0]


@pytest.fixture
def events(kind: Informer) -> list[Event]:
    seen: list[Event] = []
    kind.add_event_handler(seen.append)
    return seen


def test_objects_of_the_first_list_are_created_initially(kind: Informer, store: Store, events: list[Event]) -> None:
    store.upsert(foo("a"))
    assert not is_synced(kind)
    store.replace([foo("a"), foo("b")])
    assert is_synced(kind)
    assert [(event.type, event.is_initial) for event in events] == [(EventType.CREATED, True)] * 2
    store.upsert(foo("c"))
    assert events[-1].is_initial is False


def test_a_relist_synthesises_deletions_and_tells_nothing_of_what_is_unchanged(
    kind: Informer, store: Store, events: list[Event]
) -> None:
    store.replace([foo("a"), foo("b"), foo("c")])
    events.clear()
    store.replace([foo("a"), foo("b", 2), foo("d")])
    assert summary(events) == [("updated", "b"), ("created", "d"), ("deleted", "c")]
    assert set(kind.keys()) == {key("a"), key("b"), key("d")}


def test_an_update_carries_the_state_before(kind: Informer, store: Store, events: list[Event]) -> None:
    store.replace([foo("a", friend="jack")])
    store.upsert(foo("a", 2, friend="joe"))
    assert events[-1].old is not None
    assert events[-1].old["spec"]["name"] == "jack"
    assert events[-1].object["spec"]["name"] == "joe"


def test_an_added_object_that_is_known_is_an_update(store: Store, events: list[Event]) -> None:
    store.replace([foo("a")])
    events.clear()
    store.upsert(foo("a", 2))
    assert summary(events) == [("updated", "a")]


def test_an_equal_resource_version_is_no_event(store: Store, events: list[Event]) -> None:
    store.replace([foo("a")])
    events.clear()
    store.upsert(foo("a"))
    store.replace([foo("a")])
    assert events == []


def test_an_object_created_again_in_a_gap_is_deleted_and_created(store: Store, events: list[Event]) -> None:
    store.replace([foo("a", uid="one")])
    events.clear()
    store.replace([foo("a", 2, uid="two")])
    assert [(event.type, event.object["metadata"]["uid"]) for event in events] == [
        (EventType.DELETED, "one"),
        (EventType.CREATED, "two"),
    ]


def test_a_deletion_carries_the_last_state_and_an_unknown_one_is_no_event(store: Store, events: list[Event]) -> None:
    store.replace([foo("a")])
    events.clear()
    store.delete(foo("a", 7, friend="joe"))
    store.delete(foo("b", 8))
    assert [event.object["spec"]["name"] for event in events] == ["joe"]


def test_what_is_stored_says_its_kind_and_keeps_apart_who_manages_which_field(kind: Informer, store: Store) -> None:
    store.replace([foo("a")])
    stored = kind.get(key("a"))
    assert stored is not None
    assert (stored["apiVersion"], stored["kind"]) == ("example.com/v1", "Foo")
    assert "managedFields" not in stored["metadata"]
    assert kind.managed_fields(key("a")) == b'[{"manager":"kubectl"}]'


def test_who_manages_which_field_is_that_of_the_state_that_is_stored(kind: Informer, store: Store) -> None:
    store.replace([foo("a")])
    newer = foo("a", 2)
    newer["metadata"]["managedFields"] = []
    store.upsert(newer)
    assert kind.managed_fields(key("a")) == b"[]"
    newest = foo("a", 3)
    del newest["metadata"]["managedFields"]
    store.upsert(newest)
    assert kind.managed_fields(key("a")) is None
    store.upsert(foo("a", 4))
    store.delete(foo("a", 5))
    assert kind.managed_fields(key("a")) is None


def test_a_metadata_only_cache_holds_metadata_only_under_the_objects_own_kind() -> None:
    kind = Informer(FOO, metadata_only=True)
    whole = {**foo("a"), "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata"}
    NamespaceStore(kind, "").upsert(whole)
    stored = kind.get(key("a"))
    assert stored is not None
    assert stored.keys() == {"apiVersion", "kind", "metadata"}
    assert stored["kind"] == "Foo"


def test_a_metadata_only_cache_refuses_an_index_by_spec() -> None:
    with pytest.raises(ValueError, match="metadata only"):
        Informer(FOO, metadata_only=True).index_by(NAME)


def test_an_index_follows_its_objects(kind: Informer, store: Store) -> None:
    index = kind.index_by(NAME)
    store.replace([foo("a", friend="jack"), foo("b", friend="jack")])
    assert set(index.lookup("jack")) == {key("a"), key("b")}
    store.upsert(foo("b", 2, friend="joe"))
    assert set(index.lookup("jack")) == {key("a")}
    assert set(index.lookup("joe")) == {key("b")}
    store.delete(foo("a"))
    assert not index.lookup("jack")
    assert not index.lookup("nobody")


def test_an_index_asked_for_late_knows_the_objects_already_there(kind: Informer, store: Store) -> None:
    store.replace([foo("a", friend="jack")])
    assert set(kind.index_by(NAME).lookup("jack")) == {key("a")}
    assert kind.index_by(FieldPath("spec.name")) is kind.index_by(NAME)


def test_a_lookup_copies_nothing(kind: Informer, store: Store) -> None:
    index = kind.index_by(NAME)
    store.replace(foo(f"foo-{number}", friend="jack") for number in range(100))
    assert index.lookup("jack") is index.lookup("jack")


def test_store_and_index_are_up_to_date_when_listeners_are_called(kind: Informer, store: Store) -> None:
    index = kind.index_by(NAME)
    seen: list[tuple[bool, int]] = []
    kind.add_event_handler(lambda _: seen.append((kind.get(key("a")) is not None, len(index.lookup("jack")))))
    store.upsert(foo("a"))
    store.delete(foo("a"))
    assert seen == [(True, 1), (False, 0)]


def test_namespaces_share_a_kind_and_a_relist_of_one_leaves_the_others(kind: Informer, events: list[Event]) -> None:
    one, two = kind.scopes(["one", "two"])
    one.replace([foo("a", namespace="one")])
    assert not is_synced(kind)
    two.replace([foo("a", namespace="two")])
    assert is_synced(kind)
    events.clear()
    one.replace([])
    assert summary(events) == [("deleted", "a")]
    assert set(kind.keys()) == {key("a", "two")}


def test_other_scopes_delete_what_they_do_not_cover(kind: Informer, store: Store, events: list[Event]) -> None:
    store.replace([foo("a"), foo("b", namespace="other")])
    events.clear()
    kind.scopes(["other"])
    assert summary(events) == [("deleted", "a")]


def test_each_complete_list_of_a_namespace_is_told_when_the_store_is_up_to_date(kind: Informer) -> None:
    told: list[tuple[str, int, bool]] = []
    kind.on_list(lambda namespace: told.append((namespace, len(kind.keys()), kind.has_synced)))
    one, two = kind.scopes(["one", "two"])
    one.replace([foo("a", namespace="one")])
    two.replace([foo("a", namespace="two")])
    one.replace([])
    assert told == [("one", 1, False), ("two", 2, True), ("one", 1, True)]


def test_versions_of_updates_and_deletions_are_remembered_for_a_while(kind: Informer, store: Store) -> None:
    store.replace([foo("a", 1)])
    store.upsert(foo("a", 2))
    store.delete(foo("a", 3))
    assert [kind.has_seen(str(version)) for version in (1, 2, 3, 4)] == [True, True, True, False]
    for version in range(10, 10 + MAX_RECENT_VERSIONS):
        store.upsert(foo("b", version))
    assert [kind.has_seen(str(version)) for version in (1, 10, 9 + MAX_RECENT_VERSIONS)] == [False, True, True]
