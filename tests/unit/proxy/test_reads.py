"""When the cache does not answer though it knows the kind; answers themselves are compared in the integration tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.cache.cache import View
from reconcile_runner.cache.informer import ALL_NAMESPACES, Informer, NamespaceStore
from reconcile_runner.cache.reflector import Listing
from reconcile_runner.client.discovery import Resource
from reconcile_runner.proxy.consistency import RunWrites
from reconcile_runner.proxy.reads import MAX_LISTED, MAX_SCANNED, CachedReads
from reconcile_runner.proxy.requestinfo import parse_path

FOO = GroupVersionKind("example.com", "v1", "Foo")
RESOURCE = Resource(FOO, "foos", namespaced=True, subresources=frozenset({"status"}))
PLAIN = Resource(GroupVersionKind("example.com", "v1", "Foo"), "foos", namespaced=False)
"""The kind as it could be: cluster-scoped, without a status."""
FOOS = "/apis/example.com/v1/namespaces/ns/foos"


@dataclass
class FakeKnowledge:
    """Implements ``cachedreads.Views`` and ``cachedreads.Plurals`` over one kind."""

    kind: Informer
    is_connected: bool = True
    items_have_kind: bool | None = True
    resource: Resource = RESOURCE

    def view(self, gvk: GroupVersionKind, namespace: str, *, whole: bool) -> View | None:
        if not self.is_connected or (whole and self.kind.metadata_only):
            return None
        return View(self.kind, "77", Listing("example.com/v1", "FooList", self.items_have_kind))

    def known_plural(self, group: str, version: str, plural: str) -> Resource | None:
        return self.resource if (group, version, plural) == ("example.com", "v1", "foos") else None


def foo(number: int, **labels: str) -> KubeObject:
    meta = {"namespace": "ns", "name": f"foo-{number}", "uid": f"u-{number}", "resourceVersion": str(number)}
    return {"metadata": {**meta, "labels": labels}, "spec": {"a": number}}


def knowledge_of(objects: Iterable[KubeObject], *, metadata_only: bool = False) -> FakeKnowledge:
    kind = Informer(FOO, metadata_only=metadata_only)
    NamespaceStore(kind, ALL_NAMESPACES).replace(list(objects))
    return FakeKnowledge(kind)


def ask(
    knowledge: FakeKnowledge, path: str, writes: RunWrites | None = None, accept: str = "application/json"
) -> dict[str, Any] | None:
    info = parse_path(path)
    assert info is not None
    request = make_mocked_request("GET", path, headers={"Accept": accept})
    answer = CachedReads(knowledge, knowledge).answer(request, info, writes or RunWrites())
    if answer is None:
        return None
    assert answer.headers["X-Cache"] == "HIT"
    assert isinstance(answer.body, bytes)
    decoded: dict[str, Any] = orjson.loads(answer.body)
    return decoded


def test_an_object_and_a_list_are_answered() -> None:
    knowledge = knowledge_of([foo(2), foo(1, a="b")])
    assert ask(knowledge, f"{FOOS}/foo-1") == {"apiVersion": "example.com/v1", "kind": "Foo", **foo(1, a="b")}
    listed = ask(knowledge, FOOS)
    assert listed is not None
    assert (listed["kind"], listed["apiVersion"], listed["metadata"]) == (
        "FooList",
        "example.com/v1",
        {"resourceVersion": "77"},
    )
    assert [item["metadata"]["name"] for item in listed["items"]] == ["foo-1", "foo-2"]
    assert all(item["kind"] == "Foo" for item in listed["items"])


def test_who_manages_which_field_is_part_of_an_object() -> None:
    managed = [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}]
    obj = foo(1)
    obj["metadata"]["managedFields"] = managed
    knowledge = knowledge_of([obj])
    one, listed = ask(knowledge, f"{FOOS}/foo-1"), ask(knowledge, FOOS)
    accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    partial = ask(knowledge, f"{FOOS}/foo-1", accept=accept)
    assert one is not None
    assert listed is not None
    assert partial is not None
    for found in (one, listed["items"][0], partial):
        assert found["metadata"]["managedFields"] == managed


def test_a_list_is_ordered_as_etcd_orders_keys() -> None:
    objects = [foo(number) for number in range(4)]
    for obj, namespace in zip(objects, ("ns", "ns-b", "ns", "a"), strict=True):
        obj["metadata"]["namespace"] = namespace
    listed = ask(knowledge_of(objects), "/apis/example.com/v1/foos")
    assert listed is not None
    assert [item["metadata"]["namespace"] for item in listed["items"]] == ["a", "ns-b", "ns", "ns"]


@pytest.mark.parametrize(
    "path", [f"{FOOS}/foo-1", FOOS, "/apis/example.com/v1/foos?fieldSelector=metadata.namespace%3Dns"]
)
def test_a_kind_in_no_namespace_has_none(path: str) -> None:
    knowledge = knowledge_of([foo(1)])
    knowledge.resource = PLAIN
    assert ask(knowledge, path) is None
    assert ask(knowledge, "/apis/example.com/v1/foos") is not None


@pytest.mark.parametrize(("says", "has"), [(True, True), (False, False), (None, True)])
def test_items_say_their_kind_where_the_api_servers_do(says: bool | None, has: bool) -> None:
    knowledge = knowledge_of([foo(1)])
    knowledge.items_have_kind = says
    listed = ask(knowledge, FOOS)
    assert listed is not None
    assert ("kind" in listed["items"][0]) is has


def test_nothing_is_answered_while_no_watch_is_open() -> None:
    knowledge = knowledge_of([foo(1)])
    knowledge.is_connected = False
    assert ask(knowledge, f"{FOOS}/foo-1") is None
    assert ask(knowledge, FOOS) is None


@pytest.mark.parametrize("path", [f"{FOOS}/foo-1", FOOS, f"{FOOS}/foo-2"], ids=["object", "list", "another object"])
def test_nothing_is_answered_before_the_cache_shows_what_the_run_wrote(path: str) -> None:
    knowledge, writes = knowledge_of([foo(1), foo(2)]), RunWrites()
    with writes.writing(("example.com", "foos")) as write:
        write.answered(ObjectKey("ns", "foo-1"), foo(1) | {"metadata": {"resourceVersion": "9"}}, deleted=False)
    assert ask(knowledge, path, writes) is None
    assert ask(knowledge, path) is not None
    newer = foo(1)
    newer["metadata"]["resourceVersion"] = "9"
    NamespaceStore(knowledge.kind, ALL_NAMESPACES).upsert(newer)
    assert ask(knowledge, path, writes) is not None


def test_a_list_that_would_block_the_loop_is_left_to_the_api_server() -> None:
    knowledge = knowledge_of(foo(number, few=str(number % 2)) for number in range(MAX_LISTED + 1))
    assert ask(knowledge, FOOS) is None
    assert ask(knowledge, f"{FOOS}?labelSelector=few%3D1") is not None
    knowledge = knowledge_of(foo(number, few=str(number)) for number in range(MAX_SCANNED + 1))
    assert ask(knowledge, f"{FOOS}?labelSelector=few%3D1") is None
    assert ask(knowledge, f"{FOOS}?fieldSelector=metadata.name%3Dfoo-1") is not None
    assert ask(knowledge, f"{FOOS}/foo-1") is not None


@pytest.mark.parametrize(("limit", "answered"), [(0, True), (1, False), (2, True), (3, True)])
def test_a_limit_is_kept_by_leaving_pages_to_the_api_server(limit: int, answered: bool) -> None:
    assert (ask(knowledge_of([foo(1), foo(2)]), f"{FOOS}?limit={limit}") is not None) is answered


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "Foo"),
        ("*/*", "Foo"),
        ("application/json, */*", "Foo"),
        ("application/json;q=0.9", "Foo"),
        ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json", "PartialObjectMetadata"),
        ("application/json; as=PartialObjectMetadata; g=meta.k8s.io; v=v1", "PartialObjectMetadata"),
        ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1", None),
        ("application/json;as=Table;g=meta.k8s.io;v=v1,application/json", None),
        ("application/json;stream=watch", None),
        ("application/yaml", None),
        ("application/vnd.kubernetes.protobuf,application/json", None),
    ],
)
def test_an_accept_header_decides_what_is_answered(accept: str, kind: str | None) -> None:
    answer = ask(knowledge_of([foo(1)]), f"{FOOS}/foo-1", accept=accept)
    assert (answer["kind"] if answer is not None else None) == kind


def test_metadata_alone_answers_only_who_asks_for_metadata() -> None:
    knowledge = knowledge_of([foo(1)], metadata_only=True)
    assert ask(knowledge, f"{FOOS}/foo-1") is None
    accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    answer = ask(knowledge, f"{FOOS}/foo-1", accept=accept)
    assert answer is not None
    assert answer["metadata"]["name"] == "foo-1"


@pytest.mark.parametrize(
    "query",
    [
        "watch=true",
        "resourceVersion=5",
        "pretty=true",
        "labelSelector=a&labelSelector=b",
        "limit=x",
        "timeoutSeconds=1",
        "resourceVersionMatch=NotOlderThan",
        "resourceVersionMatch=Exact&resourceVersion=77",
    ],
)
def test_what_is_unusual_is_left_to_the_api_server(query: str) -> None:
    assert ask(knowledge_of([foo(1)]), f"{FOOS}?{query}") is None


def test_a_subresource_other_than_status_is_left_to_the_api_server() -> None:
    knowledge = knowledge_of([foo(1)])
    assert ask(knowledge, f"{FOOS}/foo-1/status") is not None
    assert ask(knowledge, f"{FOOS}/foo-1/scale") is None
    knowledge.resource = replace(RESOURCE, subresources=frozenset())
    assert ask(knowledge, f"{FOOS}/foo-1/status") is None
