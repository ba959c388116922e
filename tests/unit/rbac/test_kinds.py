from __future__ import annotations

from pathlib import Path

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.client.discovery import Resource
from reconcile_runner.content.unknowns import Place, Unknowns
from reconcile_runner.errors import ConfigError
from reconcile_runner.rbac.kinds import KindTable, resources_of_crds
from tests.unit.rbac.roles import Workplace

CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "realms.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Cluster",
        "names": {"kind": "Realm", "plural": "realms"},
        "versions": [{"name": "v1", "subresources": {"status": {}, "scale": {}}}, {"name": "v2"}],
    },
}


@pytest.mark.parametrize("kind", ["Deployment", "deployments", "deployment"])
def test_a_kind_is_found_by_any_of_the_names_that_kubernetes_core_takes(kind: str) -> None:
    found = KindTable([], Unknowns()).find(GroupVersionKind("apps", "v1", kind))
    assert (found.plural, found.namespaced, "scale" in found.subresources) == ("deployments", True, True)


def test_what_a_cluster_or_a_crd_says_wins_over_the_table() -> None:
    own = Resource(GroupVersionKind("apps", "v1", "Deployment"), "others", namespaced=False)
    assert KindTable([own], Unknowns()).find(own.gvk) is own


@pytest.mark.parametrize(
    ("kind", "plural"), [("Widget", "widgets"), ("Policy", "policies"), ("Bus", "buses")], ids=["s", "ies", "es"]
)
def test_a_kind_that_nobody_knows_is_guessed_and_reported(kind: str, plural: str) -> None:
    unknowns = Unknowns()
    found = KindTable([], unknowns).find(GroupVersionKind("x.org", "v1", kind), Place(Path("/a.yml"), "task 'b'"))
    assert (found.plural, found.namespaced) == (plural, True)
    [line] = unknowns.lines
    assert line.startswith(f"/a.yml: task 'b': {kind} of x.org/v1 is not known: {plural}, namespaced, is a guess;")
    assert "--crds" in line
    assert "--kubeconfig" in line


def test_crds_of_a_directory_say_plural_scope_and_subresources(workplace: Workplace) -> None:
    workplace.write("crds/deep/realms.yaml", CRD)
    workplace.write("crds/kustomization.yaml", {"resources": ["deep/realms.yaml"]})
    workplace.write("crds/README.md", "kind: [")
    first, second = resources_of_crds(workplace.directory / "crds")
    assert first == Resource(
        GroupVersionKind("example.com", "v1", "Realm"),
        "realms",
        namespaced=False,
        subresources=frozenset({"status", "scale"}),
    )
    assert second.subresources == frozenset()


@pytest.mark.parametrize(
    ("content", "message"),
    [("kind: [", "found no YAML"), ({"kind": "CustomResourceDefinition", "spec": {}}, "without group, scope, names")],
    ids=["no YAML", "no fields"],
)
def test_a_bad_crd_is_an_error_that_names_the_file(workplace: Workplace, content: object, message: str) -> None:
    file = workplace.write("crds/bad.yaml", content)
    with pytest.raises(ConfigError, match=message) as raised:
        resources_of_crds(file.parent)
    assert str(file) in str(raised.value)


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--crds: found no directory"):
        resources_of_crds(tmp_path / "none")


BARE_VERSIONS = [
    ("v1", "Deployment", "apps", "deployments"),
    ("v1", "Ingress", "networking.k8s.io", "ingresses"),
    ("v1", "CronJob", "batch", "cronjobs"),
    ("v1", "Realm", "example.com", "realms"),
    ("v1", "Pod", "", "pods"),
    ("v1", "Event", "", "events"),
    ("apps/v1", "Deployment", "apps", "deployments"),
]


@pytest.mark.parametrize(("version", "kind", "group", "plural"), BARE_VERSIONS, ids=str)
def test_a_version_without_a_group_is_one_of_any_group_as_for_the_client(
    workplace: Workplace, version: str, kind: str, group: str, plural: str
) -> None:
    unknowns = Unknowns()
    workplace.write("crds/realms.yaml", CRD)
    table = KindTable(resources_of_crds(workplace.directory / "crds"), unknowns)
    found = table.find_as_client(GroupVersionKind.of({"apiVersion": version, "kind": kind}))
    assert (found.gvk.group, found.plural, unknowns.lines) == (group, plural, [])


def test_a_version_without_a_group_that_several_groups_have_is_a_guess() -> None:
    unknowns = Unknowns()
    two = [Resource(GroupVersionKind(group, "v1", "Thing"), "things", namespaced=True) for group in ("a.b", "c.d")]
    found = KindTable(two, unknowns).find_as_client(GroupVersionKind("", "v1", "Thing"))
    assert found.gvk.group == ""
    assert len(unknowns.lines) == 1


def test_a_kind_of_another_version_is_not_what_the_client_finds() -> None:
    unknowns = Unknowns()
    own = Resource(GroupVersionKind("a.b", "v2", "Thing"), "things", namespaced=True)
    assert KindTable([own], unknowns).find_as_client(GroupVersionKind("", "v1", "Thing")) is not own


def test_a_watch_names_its_group() -> None:
    """Only tasks are read by the client of kubernetes.core."""
    unknowns = Unknowns()
    KindTable([], unknowns).find(GroupVersionKind("", "v1", "Deployment"))
    assert len(unknowns.lines) == 1
