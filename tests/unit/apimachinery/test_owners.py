from __future__ import annotations

from typing import Any

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.apimachinery.owners import Owner, has_owner, is_referenced, owner_keys, set_owner

FOO = GroupVersionKind("example.com", "v1", "Foo")
OWNER = Owner(FOO, ObjectKey("ns", "a"), "u-1")
CLUSTER_OWNER = Owner(FOO, ObjectKey("", "a"), "u-2")
REFERENCE = {"apiVersion": "example.com/v1", "kind": "Foo", "name": "a", "uid": "u-1"}
ANNOTATIONS = {"operator-sdk/primary-resource": "ns/a", "operator-sdk/primary-resource-type": "Foo.example.com"}


def thing(namespace: str = "ns", **meta: Any) -> KubeObject:
    return {"metadata": {"name": "x", "namespace": namespace, **meta}}


@pytest.mark.parametrize(
    ("owner", "namespace", "expected"),
    [
        (OWNER, "ns", {"ownerReferences": [REFERENCE]}),
        (OWNER, "other", {"annotations": ANNOTATIONS}),
        (OWNER, "", {"annotations": ANNOTATIONS}),
        (CLUSTER_OWNER, "other", {"ownerReferences": [REFERENCE | {"uid": "u-2"}]}),
        (CLUSTER_OWNER, "", {"ownerReferences": [REFERENCE | {"uid": "u-2"}]}),
    ],
    ids=["same namespace", "another", "cluster-scoped object", "cluster-scoped owner", "both cluster-scoped"],
)
def test_the_mark_is_what_kubernetes_allows(owner: Owner, namespace: str, expected: KubeObject) -> None:
    new = set_owner({"metadata": {"name": "x"}, "spec": 1}, owner, namespace)
    assert new == {"metadata": {"name": "x", **expected}, "spec": 1}
    assert has_owner(new, owner)
    assert set_owner(new, owner, namespace) is new


def test_what_an_object_says_of_owners_is_kept() -> None:
    other = REFERENCE | {"uid": "u-9", "controller": True}
    assert set_owner(thing(ownerReferences=[other]), OWNER, "ns")["metadata"]["ownerReferences"] == [other, REFERENCE]
    own = [REFERENCE | {"blockOwnerDeletion": True}]
    assert set_owner(thing(ownerReferences=own), OWNER, "ns")["metadata"]["ownerReferences"] == own
    said = {"operator-sdk/primary-resource": "ns/somebody", "a": "b"}
    assert set_owner(thing("other", annotations=said), OWNER, "other")["metadata"]["annotations"] == said


def test_the_object_itself_is_not_changed() -> None:
    obj = thing(ownerReferences=[], annotations={})
    set_owner(obj, OWNER, "ns")
    set_owner(obj, OWNER, "other")
    assert obj == thing(ownerReferences=[], annotations={})


@pytest.mark.parametrize("meta", [[], "x", {"ownerReferences": {}}, {"ownerReferences": "x"}], ids=str)
def test_a_malformed_object_is_left_to_the_api_server(meta: Any) -> None:
    obj = {"metadata": meta}
    assert set_owner(obj, OWNER, "ns") is obj


def test_an_object_without_metadata_gets_some() -> None:
    assert set_owner({}, OWNER, "ns") == {"metadata": {"ownerReferences": [REFERENCE]}}


def test_owners_are_found_by_group_and_kind_whatever_version_and_role() -> None:
    references = [
        REFERENCE | {"apiVersion": "example.com/v2", "name": "b", "controller": True},
        REFERENCE | {"apiVersion": "other.com/v1", "name": "c"},
        REFERENCE | {"kind": "Bar", "name": "d"},
    ]
    found = thing(ownerReferences=references)
    assert list(owner_keys(found, FOO)) == [ObjectKey("ns", "b"), ObjectKey("", "b")]
    assert is_referenced(found, FOO)
    assert not is_referenced(found, GroupVersionKind("", "v1", "Foo"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ns/a", [ObjectKey("ns", "a")]), ("a", [ObjectKey("", "a")]), ("/a", [ObjectKey("", "a")]), ("", []), ("n/", [])],
)
def test_owners_are_found_by_annotation(text: str, expected: list[ObjectKey]) -> None:
    obj = thing("other", annotations=ANNOTATIONS | {"operator-sdk/primary-resource": text})
    assert list(owner_keys(obj, FOO)) == expected
    assert list(owner_keys(obj, GroupVersionKind("example.com", "v1", "Bar"))) == []
    assert not is_referenced(obj, FOO)


def test_a_core_kind_is_named_without_a_group() -> None:
    pod = Owner(GroupVersionKind("", "v1", "Pod"), ObjectKey("ns", "a"), "u")
    new = set_owner(thing("other"), pod, "other")
    assert new["metadata"]["annotations"]["operator-sdk/primary-resource-type"] == "Pod"
    assert list(owner_keys(new, pod.gvk)) == [ObjectKey("ns", "a")]
