from __future__ import annotations

import pytest

from reconcile_runner.apimachinery import objects
from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey

FOO = GroupVersionKind("tutorial.my.domain", "v1", "Foo")
POD = GroupVersionKind("", "v1", "Pod")


@pytest.mark.parametrize(("gvk", "text"), [(FOO, "tutorial.my.domain/v1, Kind=Foo"), (POD, "/v1, Kind=Pod")])
def test_a_kind_reads_as_in_upstreams_metrics(gvk: GroupVersionKind, text: str) -> None:
    assert str(gvk) == text


@pytest.mark.parametrize(("gvk", "text"), [(FOO, "tutorial.my.domain/v1"), (POD, "v1")])
def test_a_kind_and_its_api_version_lead_to_each_other(gvk: GroupVersionKind, text: str) -> None:
    assert gvk.api_version == text
    assert GroupVersionKind.of({"apiVersion": text, "kind": gvk.kind}) == gvk


def test_a_key_reads_as_people_write_it() -> None:
    assert str(ObjectKey("default", "a")) == "default/a"
    assert str(ObjectKey("", "node-1")) == "node-1"


@pytest.mark.parametrize("obj", [{}, {"metadata": None}, {"metadata": {}}], ids=["none", "null", "empty"])
def test_an_object_without_metadata_reads_as_empty(obj: KubeObject) -> None:
    assert objects.key_of(obj) == ObjectKey("", "")
    assert objects.uid(obj) == ""
    assert objects.resource_version(obj) == ""
    assert objects.generation(obj) == 0
    assert objects.labels(obj) == {}
    assert objects.annotations(obj) == {}
    assert objects.is_deleting(obj) is False


def test_reads_metadata() -> None:
    obj: KubeObject = {
        "metadata": {
            "namespace": "default",
            "name": "a",
            "uid": "u",
            "resourceVersion": "007",
            "generation": 3,
            "labels": {"a": "b"},
            "annotations": {"c": "d"},
            "deletionTimestamp": "2026-01-01T00:00:00Z",
        }
    }
    assert objects.key_of(obj) == ObjectKey("default", "a")
    assert objects.uid(obj) == "u"
    assert objects.resource_version(obj) == "007"
    assert objects.generation(obj) == 3
    assert objects.labels(obj) == {"a": "b"}
    assert objects.annotations(obj) == {"c": "d"}
    assert objects.is_deleting(obj) is True
