"""What CRDs say of the kinds and paths of triggers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile_runner.apimachinery.fieldpath import FieldPath
from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.content.crds import CrdKinds, crd_directories, defined_kinds
from reconcile_runner.watches.findings import FindingSeverity

THING = GroupVersionKind("example.com", "v1", "Thing")
PLAIN = GroupVersionKind("example.com", "v2", "Thing")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "parts": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "maps": {
                    "type": "object",
                    "additionalProperties": {"type": "object", "properties": {"a": {"type": "string"}}},
                },
                "any": {"type": "object", "additionalProperties": True},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "pod": {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {}}},
                "empty": {"type": "object"},
            },
        },
        "status": {"x-kubernetes-preserve-unknown-fields": True},
    },
}


@pytest.fixture
def kinds(tmp_path: Path) -> CrdKinds:
    versions = [{"name": "v1", "schema": {"openAPIV3Schema": SCHEMA}}, {"name": "v2"}]
    spec = {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things"},
        "versions": versions,
    }
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}
    (tmp_path / "things.yaml").write_text(yaml.safe_dump(crd))
    return CrdKinds(defined_kinds(tmp_path))


@pytest.mark.parametrize(
    "gvk",
    [
        THING,
        PLAIN,
        GroupVersionKind("", "v1", "Pod"),
        GroupVersionKind("apps", "v1", "Deployment"),
        GroupVersionKind("networking.k8s.io", "v1", "Ingress"),
        GroupVersionKind("metrics.k8s.io", "v1beta1", "PodMetrics"),
        GroupVersionKind("resource.k8s.io", "v1alpha3", "NewerThanTheTable"),
    ],
    ids=str,
)
def test_a_kind_that_there_may_be_is_no_doubt(kinds: CrdKinds, gvk: GroupVersionKind) -> None:
    assert kinds.doubt_of_kind(gvk) is None


@pytest.mark.parametrize(
    ("gvk", "message"),
    [
        (GroupVersionKind("example.com", "v1", "Thin"), "found v1 Thin, did you mean v1 Thing?"),
        (GroupVersionKind("example.com", "v3", "Thing"), "found v3 Thing, did you mean v2 Thing?"),
        (GroupVersionKind("example.com", "v1", "Quux"), "found v1 Quux, expected one: v1 Thing, v2 Thing"),
        (GroupVersionKind("apps", "v1", "Deploymnt"), "found 'Deploymnt', did you mean Deployment?"),
        (GroupVersionKind("", "v1", "Deployment"), "found 'Deployment', expected one: Binding, "),
    ],
    ids=str,
)
def test_a_kind_that_no_crd_has_is_an_error(kinds: CrdKinds, gvk: GroupVersionKind, message: str) -> None:
    doubt = kinds.doubt_of_kind(gvk)
    assert doubt is not None
    assert doubt.severity is FindingSeverity.ERROR
    assert doubt.message.startswith(message)


def test_a_group_without_a_crd_is_a_warning_where_there_are_others(kinds: CrdKinds) -> None:
    certificate = GroupVersionKind("cert-manager.io", "v1", "Certificate")
    doubt = kinds.doubt_of_kind(certificate)
    assert doubt is not None
    assert doubt.severity is FindingSeverity.WARNING
    assert "no CRD of cert-manager.io is at hand" in doubt.message
    assert CrdKinds([]).doubt_of_kind(certificate) is None


@pytest.mark.parametrize(
    "path",
    [
        "spec",
        "spec.name",
        "spec.parts[*].name",
        "spec.labels['a.b/c']",
        "spec.maps.x.a",
        "spec.any.thing.at.all",
        "spec.free.thing[*].at.all",
        "spec.pod.metadata.name",
        "spec.pod.spec",
        "status.anything",
        "metadata.name",
        "metadata.labels['x.y/z']",
        "metadata.ownerReferences[*].name",
        "kind",
    ],
)
def test_a_path_that_objects_may_have_is_no_doubt(kinds: CrdKinds, path: str) -> None:
    assert kinds.doubt_of_path(THING, FieldPath(path)) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("spec.nam", "expected a field of Thing.spec; did you mean 'name'?"),
        ("spce.name", "expected a field of Thing; did you mean 'spec'?"),
        ("spec.quux", "expected one of Thing.spec: any, empty, "),
        ("spec.parts.name", "expected [*] behind Thing.spec.parts, which is a list"),
        ("spec.name[*]", "expected no [*] behind Thing.spec.name, which is no list"),
        ("spec.name.x", "expected one of Thing.spec.name: it has no fields"),
        ("spec.parts[*].nam", "expected a field of Thing.spec.parts[*]; did you mean 'name'?"),
        ("spec.maps.x.b", "expected one of Thing.spec.maps.x: a"),
        ("spec.empty.x", "expected one of Thing.spec.empty: it has no fields"),
        ("metadata.nam", "expected a field of metadata; did you mean 'name'?"),
    ],
)
def test_a_path_that_the_schema_prunes_is_an_error(kinds: CrdKinds, path: str, expected: str) -> None:
    doubt = kinds.doubt_of_path(THING, FieldPath(path))
    assert doubt is not None
    assert doubt.severity is FindingSeverity.ERROR
    assert doubt.message.startswith(f"found {path!r}, {expected}")


def test_a_version_without_a_schema_and_a_kind_of_kubernetes_have_any_path(kinds: CrdKinds) -> None:
    for gvk in (PLAIN, GroupVersionKind("", "v1", "Pod")):
        assert kinds.doubt_of_path(gvk, FieldPath("spec.whatever")) is None


def test_crds_are_where_the_flag_says_else_where_operators_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert crd_directories(None) == []
    (tmp_path / "config" / "crd" / "bases").mkdir(parents=True)
    assert crd_directories(None) == [Path("config/crd/bases")]
    assert crd_directories(Path("other")) == [Path("other")]
