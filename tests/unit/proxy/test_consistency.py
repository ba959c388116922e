from __future__ import annotations

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.cache.informer import ALL_NAMESPACES, Informer, NamespaceStore
from reconcile_runner.proxy.consistency import RunWrites, changed_nothing

MAPS = ("", "configmaps")
KEY = ObjectKey("ns", "a")


def obj(version: int, uid: str = "u-1") -> KubeObject:
    meta = {"namespace": KEY.namespace, "name": KEY.name, "uid": uid, "resourceVersion": str(version)}
    return {"kind": "ConfigMap", "metadata": meta}


@pytest.fixture
def kind() -> Informer:
    return Informer(GroupVersionKind("", "v1", "ConfigMap"), metadata_only=False)


@pytest.fixture
def store(kind: Informer) -> NamespaceStore:
    return NamespaceStore(kind, ALL_NAMESPACES)


def test_a_run_that_wrote_nothing_reads_from_the_cache(kind: Informer) -> None:
    assert RunWrites().are_shown_by(kind, MAPS)


def test_a_write_is_shown_once_the_cache_has_seen_its_version(kind: Informer, store: NamespaceStore) -> None:
    writes = RunWrites()
    store.upsert(obj(1))
    with writes.writing(MAPS) as write:
        assert not writes.are_shown_by(kind, MAPS)
        write.answered(KEY, obj(2), deleted=False)
    assert not writes.are_shown_by(kind, MAPS)
    assert writes.are_shown_by(kind, ("", "secrets"))
    store.upsert(obj(2))
    assert writes.are_shown_by(kind, MAPS)


def test_a_version_that_others_have_overwritten_counts_as_seen(kind: Informer, store: NamespaceStore) -> None:
    writes = RunWrites()
    with writes.writing(MAPS) as write:
        store.upsert(obj(2))  # the watch was faster than the answer
        store.upsert(obj(3))
        write.answered(KEY, obj(2), deleted=False)
    assert writes.are_shown_by(kind, MAPS)


def test_a_deletion_is_shown_once_the_object_is_gone_or_another_one(kind: Informer, store: NamespaceStore) -> None:
    for after in (None, obj(9, uid="u-2")):
        store.upsert(obj(1))
        writes = RunWrites()
        with writes.writing(MAPS) as write:
            write.answered(KEY, {"kind": "Status", "details": {"uid": "u-1"}}, deleted=True)
        assert not writes.are_shown_by(kind, MAPS)
        if after is None:
            store.delete(obj(5))
        else:
            store.upsert(after)
        assert writes.are_shown_by(kind, MAPS)
        store.delete(obj(10, uid="u-2"))


def test_a_deletion_that_waits_is_shown_with_the_version_that_says_so(kind: Informer, store: NamespaceStore) -> None:
    store.upsert(obj(1))
    writes = RunWrites()
    with writes.writing(MAPS) as write:
        write.answered(KEY, obj(2), deleted=True)
    assert not writes.are_shown_by(kind, MAPS)
    store.upsert(obj(2))
    assert writes.are_shown_by(kind, MAPS)


def test_a_refused_write_hides_nothing(kind: Informer) -> None:
    writes = RunWrites()
    with writes.writing(MAPS) as write:
        write.did_nothing()
    assert writes.are_shown_by(kind, MAPS)


def test_a_write_of_which_nobody_knows_how_it_ended_hides_the_kind_for_good(
    kind: Informer, store: NamespaceStore
) -> None:
    writes = RunWrites()
    with pytest.raises(ConnectionError), writes.writing(MAPS):
        raise ConnectionError
    store.upsert(obj(2))
    assert not writes.are_shown_by(kind, MAPS)


@pytest.mark.parametrize(
    ("answer", "deleted"),
    [({}, False), ({"kind": "Status"}, True), ({"kind": "ConfigMapList", "metadata": {}}, True)],
    ids=["no version", "no uid", "a collection"],
)
def test_an_answer_that_names_no_version_hides_the_kind_for_good(
    kind: Informer, answer: KubeObject, deleted: bool
) -> None:
    writes = RunWrites()
    with writes.writing(MAPS) as write:
        write.answered(KEY, answer, deleted=deleted)
    assert not writes.are_shown_by(kind, MAPS)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, False), (400, True), (404, True), (408, False), (409, True), (500, False), (504, False)],
)
def test_only_a_refusal_is_known_to_change_nothing(status: int, expected: bool) -> None:
    assert changed_nothing(status) is expected
