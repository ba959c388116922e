from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from reconcile_runner import __version__
from tools import bundle

KubeObject = dict[str, Any]

BASE: KubeObject = {
    "apiVersion": "operators.coreos.com/v1alpha1",
    "kind": "ClusterServiceVersion",
    "metadata": {"annotations": {"capabilities": "Basic Install"}},
    "spec": {"displayName": "Foo", "description": "One line.\nAnother.\n"},
}
SAMPLE: KubeObject = {"apiVersion": "g/v1", "kind": "Foo", "metadata": {"name": "one"}, "spec": {"name": "jack"}}


def _named(kind: str, name: str, **fields: object) -> KubeObject:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "system"}, **fields}


def _binding(kind: str, role_kind: str, role: str, account: str = "manager") -> KubeObject:
    subjects = [{"kind": "ServiceAccount", "name": account, "namespace": "system"}]
    return _named(kind, f"{role}-binding", roleRef={"kind": role_kind, "name": role}, subjects=subjects)


def _rule(resource: str) -> KubeObject:
    return {"apiGroups": [""], "resources": [resource], "verbs": ["get"]}


def _objects() -> list[KubeObject]:
    pod = {"serviceAccountName": "manager", "containers": [{"name": "manager", "image": "registry/foo:1"}]}
    deployment = _named("Deployment", "manager", spec={"template": {"spec": pod}})
    deployment["metadata"]["labels"] = {"a": "b"}
    namespace = {
        "kind": "Namespace",
        "metadata": {"name": "system", "labels": {"other": "x", "pod-security.kubernetes.io/enforce": "restricted"}},
    }
    return [
        namespace,
        _named("CustomResourceDefinition", "foos.g"),
        _named("ServiceAccount", "manager"),
        deployment,
        _named("Role", "election", rules=[_rule("leases")]),
        _binding("RoleBinding", "Role", "election"),
        _named("ClusterRole", "watches", rules=[_rule("foos"), _rule("pods")]),
        _binding("ClusterRoleBinding", "ClusterRole", "watches"),
        _named("ClusterRole", "reader", rules=[_rule("metrics")]),
        _named("Service", "metrics"),
    ]


@pytest.fixture
def csv() -> KubeObject:
    return bundle.cluster_service_version("foo-operator", BASE, _objects(), [SAMPLE])


def test_rights_go_where_olm_looks_for_them(csv: KubeObject) -> None:
    spec = csv["spec"]["install"]["spec"]
    assert spec["permissions"] == [{"serviceAccountName": "manager", "rules": [_rule("leases")]}]
    assert spec["clusterPermissions"] == [{"serviceAccountName": "manager", "rules": [_rule("foos"), _rule("pods")]}]


def test_rights_of_another_account_are_not_the_operators() -> None:
    others = [_named("ClusterRole", "other", rules=[_rule("secrets")])]
    others.append(_binding("ClusterRoleBinding", "ClusterRole", "other", account="somebody"))
    csv = bundle.cluster_service_version("foo-operator", BASE, [*_objects(), *others], [SAMPLE])
    assert "secrets" not in json.dumps(csv)


def test_the_deployment_is_taken_over_with_its_labels(csv: KubeObject) -> None:
    [deployment] = csv["spec"]["install"]["spec"]["deployments"]
    assert deployment["name"] == "manager"
    assert deployment["label"] == {"a": "b"}
    assert deployment["spec"]["template"]["spec"]["containers"][0]["image"] == "registry/foo:1"


def test_the_version_is_the_projects(csv: KubeObject) -> None:
    assert csv["metadata"]["name"] == f"foo-operator.v{__version__}"
    assert csv["spec"]["version"] == __version__


def test_annotations_are_added_to_those_that_people_wrote(csv: KubeObject) -> None:
    annotations = csv["metadata"]["annotations"]
    assert annotations["capabilities"] == "Basic Install"
    assert annotations["containerImage"] == "registry/foo:1"
    assert json.loads(annotations["alm-examples"]) == [SAMPLE]
    template = json.loads(annotations["operatorframework.io/suggested-namespace-template"])
    assert template["metadata"] == {"name": "system", "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}


def test_what_people_wrote_is_left_as_it_was(csv: KubeObject) -> None:
    assert "version" not in BASE["spec"]
    assert list(BASE["metadata"]["annotations"]) == ["capabilities"]


def test_files_are_the_csv_and_what_olm_does_not_make_itself() -> None:
    assert sorted(bundle.files("foo-operator", BASE, _objects(), [SAMPLE])) == [
        "Dockerfile",
        "manifests/foo-operator.clusterserviceversion.yaml",
        "manifests/foos.g.yaml",
        "manifests/metrics.service.yaml",
        "manifests/reader.clusterrole.yaml",
        "metadata/annotations.yaml",
    ]


def test_objects_have_no_namespace_and_are_the_first_document_of_their_file() -> None:
    made = bundle.files("foo-operator", BASE, _objects(), [SAMPLE])
    for name, text in made.items():
        if name.startswith("manifests/"):
            first = next(iter(yaml.safe_load_all(text)))
            assert first["kind"]
            assert "namespace" not in first["metadata"]


def test_texts_of_several_lines_are_blocks_and_nothing_is_by_reference() -> None:
    made = bundle.files("foo-operator", BASE, _objects(), [SAMPLE])
    csv = made["manifests/foo-operator.clusterserviceversion.yaml"]
    assert "  description: |\n    One line.\n    Another.\n" in csv
    assert "&id" not in csv


def test_the_image_is_labelled_as_the_metadata_say() -> None:
    made = bundle.files("foo-operator", BASE, _objects(), [SAMPLE])
    annotations = yaml.safe_load(made["metadata/annotations.yaml"])["annotations"]
    labels = [line.removeprefix("LABEL ") for line in made["Dockerfile"].splitlines() if line.startswith("LABEL ")]
    assert labels == [f"{name}={value}" for name, value in annotations.items()]
