"""Operators that have the rights which `python -m reconcile_runner rbac` prints, and no others.

The API server is as strict about owner references as it can be (OwnerReferencesPermissionEnforcement).
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from reconcile_devcluster import crds
from reconcile_devcluster.binaries.finder import find_programs
from reconcile_devcluster.cluster import Cluster, ClusterSpec
from reconcile_devcluster.controlplane import foreground
from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.content.builtin import builtin_resources
from tests.support.accounts import Account, account
from tests.support.hosting import PROJECT, Tenancy, hosting_operator
from tests.support.operator_process import REPOSITORY, Kube, OperatorProcess, eventually, install_foo_crd, operator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconcile_devcluster.api import KubeObject

pytestmark = pytest.mark.timeout(300)

EXAMPLES = REPOSITORY / "examples"
STRICT = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "userGroups": ["system:serviceaccounts:default"]}],
}

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def audit_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "audit.log"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, audit_log: Path) -> Iterator[Cluster]:
    policy = audit_log.with_name("policy.yaml")
    policy.write_text(yaml.safe_dump(AUDIT_POLICY))
    flags = (STRICT, f"--audit-policy-file={policy}", f"--audit-log-path={audit_log}")
    spec = ClusterSpec(tmp_path_factory.mktemp("devcluster-rbac"), controllers=True, api_server_flags=flags)
    with foreground(spec, find_programs) as running:
        install_foo_crd(running.api)
        yield running


@pytest.fixture
def kube(cluster: Cluster) -> Kube:
    return Kube(cluster.api)


@pytest.fixture
def namespace(kube: Kube) -> str:
    name = f"rbac-{next(_numbers)}"
    kube.create_namespace(name)
    return name


def shipped(path: str) -> list[KubeObject]:
    return list(yaml.safe_load_all((REPOSITORY / path).read_text()))


def printed(directory: Path, *arguments: str, **environ: str) -> list[KubeObject]:
    """Return the manifest that the command prints, started in a directory."""
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environ}
    command = [sys.executable, "-m", "reconcile_runner", "rbac", *arguments]
    done = subprocess.run(command, cwd=directory, env=env, check=True, capture_output=True, text=True)
    return list(yaml.safe_load_all(done.stdout))


def refusals(running: OperatorProcess) -> list[dict[str, Any]]:
    """Return the log lines that speak of a right that is missing."""
    return [line for line in running.lines if "forbidden" in str(line).lower() or "lacks the right" in str(line)]


def unused(audit_log: Path, name: str, roles: list[KubeObject]) -> set[tuple[str, str, str]]:
    """Return what an account was given and never asked for: group, resource, verb."""
    asked = set()
    for line in audit_log.read_text().splitlines():
        entry = json.loads(line)
        reference = entry.get("objectRef", {})
        if entry["user"]["username"].endswith(f":{name}") and "resource" in reference:
            resource = "/".join(filter(None, (reference["resource"], reference.get("subresource"))))
            asked.add((reference.get("apiGroup", ""), resource, entry["verb"]))
    return rights_in(roles) - asked


def rights_in(roles: list[KubeObject]) -> set[tuple[str, str, str]]:
    """Return group, resource and verb of all rules."""
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


EVENT_AGAIN = ("", "events", "patch")
"""Needed where an Event is said once more, which does not happen in every test."""


UNWATCHED = "dependents of this kind may not be listed and watched: what happens to them reconciles nothing"


def events_of(kube: Kube, namespace: str, name: str) -> set[str]:
    items = kube.api.call("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
    return {str(item["reason"]) for item in items if item["involvedObject"]["name"] == name}


def test_the_kinds_of_kubernetes_are_what_a_real_api_server_serves(cluster: Cluster) -> None:
    served = set()
    for group in ({"name": "", "versions": [{"version": "v1"}]}, *cluster.api.call("GET", "/apis")["groups"]):
        for version in (it["version"] for it in group["versions"]):
            root = f"/apis/{group['name']}/{version}" if group["name"] else "/api/v1"
            resources = cluster.api.call("GET", root)["resources"]
            names = {it["name"] for it in resources}
            for it in resources:
                if "/" not in it["name"]:
                    subresources = {one for one in ("scale", "status") if f"{it['name']}/{one}" in names}
                    served.add((group["name"], it["kind"], it["name"], it["namespaced"], frozenset(subresources)))
    known = {(it.gvk.group, it.gvk.kind, it.plural, it.namespaced, it.subresources) for it in builtin_resources()}
    assert known == {
        it for it in served if not it[0].endswith((".my.domain", ".example.com", "example.org", "iximiuz.com"))
    }


def test_with_the_shipped_roles_a_foo_gets_happy_and_secrets_stay_secret(
    cluster: Cluster, kube: Kube, namespace: str, tmp_path: Path, audit_log: Path
) -> None:
    [election] = shipped("config/rbac/leader_election_role.yaml")
    election["metadata"]["namespace"] = namespace
    roles = [*shipped("config/rbac/role.yaml"), election]
    made = account(cluster, tmp_path, namespace, roles)
    flags = ("--leader-elect", "--leader-election-id", "foo-operator", "--leader-election-namespace", namespace)
    with operator(made.kubeconfig, flags=flags, env={"ANSIBLE_GATHERING": "explicit"}) as running:
        kube.create_foo(namespace, "foo-01", f"jack-{namespace}")
        eventually(lambda: kube.happy(namespace, "foo-01") is False, "an unhappy Foo")
        kube.create_pod(namespace, f"jack-{namespace}")
        eventually(lambda: kube.happy(namespace, "foo-01") is True, "a happy Foo")
        eventually(lambda: events_of(kube, namespace, "foo-01") >= {"Happy", "Reconciled"}, "the Events")
        kube.delete_pod(namespace, f"jack-{namespace}")
        eventually(lambda: unused(audit_log, namespace, roles) == set(), "each right to be used")
        # The second operator stands by, and watches the Lease for that.
        with operator(made.kubeconfig, flags=(*flags, "--user-metrics-bind-address", "0")) as standby:
            standby.wait_for_message("standing by")
            assert refusals(standby) == []
        assert refusals(running) == []
    may_not(made, namespace)


def may_not(made: Account, namespace: str) -> None:
    inside = f"/api/v1/namespaces/{namespace}"
    assert made.is_refused("GET", "/api/v1/secrets")
    assert made.is_refused("GET", f"{inside}/secrets/any")
    assert made.is_refused("POST", f"{inside}/secrets", {"metadata": {"name": "any"}})
    assert made.is_refused("DELETE", f"{inside}/pods/any")
    assert made.is_refused("GET", f"/apis/apps/v1/namespaces/{namespace}/deployments")
    assert made.is_refused("PATCH", f"/apis/tutorial.my.domain/v1/namespaces/{namespace}/foos/foo-01")
    assert not made.may("update", "coordination.k8s.io", "leases", namespace=namespace, name="another")
    assert not made.may("create", "", "pods/exec", namespace=namespace)


@pytest.mark.exhaustive
def test_with_its_role_the_app_service_makes_its_dependents_and_heals_them(
    cluster: Cluster, kube: Kube, namespace: str, tmp_path: Path, audit_log: Path
) -> None:
    crds.install(cluster.api, EXAMPLES / "appservice" / "crds")
    roles = shipped("examples/appservice/config/rbac/role.yaml")
    made = account(cluster, tmp_path, namespace, roles)
    apps = f"/apis/app.example.com/v1/namespaces/{namespace}/appservices"
    deployment = f"/apis/apps/v1/namespaces/{namespace}/deployments/shop"
    with example(made.kubeconfig, "appservice", namespace) as running:
        spec = {"size": 1, "image": "shop:1", "ports": [{"name": "http", "port": 80}]}
        body = {"apiVersion": "app.example.com/v1", "kind": "AppService", "metadata": {"name": "shop"}, "spec": spec}
        kube.api.call("POST", apps, body)
        eventually(lambda: "nodePorts" in kube.api.call("GET", f"{apps}/shop").get("status", {}), "the status")
        before = uid(kube, deployment)
        kube.api.call("DELETE", deployment)
        eventually(lambda: uid(kube, deployment) not in {"", before}, "another Deployment")
        kube.patch(f"{apps}/shop", {"spec": {"size": 2}})
        eventually(lambda: kube.api.call("GET", deployment)["spec"]["replicas"] == 2, "the new size")
        eventually(lambda: unused(audit_log, namespace, roles) <= {EVENT_AGAIN}, "each right to be used")
        assert refusals(running) == []
        metrics = tmp_path / "metrics.txt"
        metrics.write_text(running.metrics())
    assert made.is_refused("GET", "/api/v1/secrets")
    # The API server's own log says that each of these rights was used, and no other one.
    used = printed(EXAMPLES / "appservice", "--from-runs", str(metrics))
    assert rights_in(used) == rights_in(roles)


@pytest.mark.exhaustive
def test_a_namespace_without_rights_costs_the_others_no_dependents(
    cluster: Cluster, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    refused = f"{namespace}-refused"
    kube.create_namespace(refused)
    crds.install(cluster.api, EXAMPLES / "blogpost" / "crds")
    flags = ("--namespace", namespace, "--crds", "crds", "--ansible-roles-path", "roles")
    made = account(cluster, tmp_path, namespace, printed(EXAMPLES / "blogpost", *flags))
    page = f"/api/v1/namespaces/{namespace}/configmaps/blogpost-first"
    with example(made.kubeconfig, "blogpost", f"{namespace},{refused}") as running:
        spec = {"title": "Hello", "author": "Jane"}
        body = {"apiVersion": "iximiuz.com/v1", "kind": "BlogPost", "metadata": {"name": "first"}, "spec": spec}
        kube.api.call("POST", f"/apis/iximiuz.com/v1/namespaces/{namespace}/blogposts", body)
        # The warning about the other namespace says that both have been asked for.
        running.wait_for_message(UNWATCHED, namespace=refused)
        before = uid(kube, page)
        kube.api.call("DELETE", page)
        eventually(lambda: uid(kube, page) not in {"", before}, "another page")
        assert [line["namespace"] for line in running.messages(UNWATCHED)] == [refused]


def test_with_roles_in_two_namespaces_alone_foo_looks_where_its_trigger_hears(
    cluster: Cluster, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    second, outside, friend = f"{namespace}-second", f"{namespace}-outside", f"jack-{namespace}"
    for name in (second, outside):
        kube.create_namespace(name)
    roles = printed(REPOSITORY, "--namespace", namespace, "--namespace", second)
    assert [role["kind"] for role in roles] == ["Role", "Role"]
    made = account(cluster, tmp_path, namespace, roles)
    env = {"WATCH_NAMESPACE": f"{namespace}, {second},", "ANSIBLE_GATHERING": "explicit"}
    kube.create_pod(outside, friend)
    with operator(made.kubeconfig, env=env) as running:
        kube.create_foo(namespace, "foo", friend)
        eventually(lambda: kube.happy(namespace, "foo") is False, "a Foo without a friend where it may look")
        for place in (second, namespace):
            kube.create_pod(place, friend)
            eventually(lambda: kube.happy(namespace, "foo") is True, f"a friend in {place}")
            kube.delete_pod(place, friend)
            eventually(lambda: kube.happy(namespace, "foo") is False, f"no friend in {place}")
        assert refusals(running) == []


def uid(kube: Kube, path: str) -> str:
    return str(kube.api.call("GET", path)["metadata"]["uid"]) if kube.exists(path) else ""


def example(kubeconfig: Path, name: str, namespace: str) -> Any:
    env = {"WATCH_NAMESPACE": namespace, "ANSIBLE_GATHERING": "explicit"}
    flags = ("--ansible-roles-path", str(EXAMPLES / name / "roles"))
    return operator(kubeconfig, EXAMPLES / name / "watches.yaml", flags=flags, env=env)


@pytest.mark.parametrize("in_namespace", [False, True], ids=["ClusterRole", "Role"])
def test_with_its_role_the_blog_post_is_published_and_goes_with_its_page(
    cluster: Cluster, kube: Kube, namespace: str, tmp_path: Path, audit_log: Path, *, in_namespace: bool
) -> None:
    crds.install(cluster.api, EXAMPLES / "blogpost" / "crds")
    roles = shipped("examples/blogpost/config/rbac/role.yaml")
    if in_namespace:
        flags = ("--namespace", namespace, "--crds", "crds", "--ansible-roles-path", "roles")
        roles = printed(EXAMPLES / "blogpost", *flags)
        assert [role["kind"] for role in roles] == ["Role"]
    made = account(cluster, tmp_path, namespace, roles)
    posts = f"/apis/iximiuz.com/v1/namespaces/{namespace}/blogposts"
    page = f"/api/v1/namespaces/{namespace}/configmaps/blogpost-first"
    with example(made.kubeconfig, "blogpost", namespace) as running:
        spec = {"title": "Hello", "author": "Jane"}
        body = {"apiVersion": "iximiuz.com/v1", "kind": "BlogPost", "metadata": {"name": "first"}, "spec": spec}
        kube.api.call("POST", posts, body)
        eventually(lambda: "publishedAt" in kube.api.call("GET", f"{posts}/first").get("status", {}), "the status")
        before = uid(kube, page)
        kube.api.call("DELETE", page)
        eventually(lambda: uid(kube, page) not in {"", before}, "another page")
        kube.patch(f"{posts}/first", {"spec": {"title": "Hello again"}})
        eventually(lambda: "again" in kube.api.call("GET", page)["data"]["index.html"], "the new title")
        assert kube.api.call("GET", f"{posts}/first")["metadata"]["finalizers"] == ["iximiuz.com/unpublish"]
        kube.api.call("DELETE", f"{posts}/first")
        eventually(lambda: not kube.exists(f"{posts}/first"), "the post to be gone")
        assert not kube.exists(page)
        eventually(lambda: events_of(kube, namespace, "first") >= {"Finalized", "Reconciled"}, "the Events")
        eventually(lambda: unused(audit_log, namespace, roles) <= {EVENT_AGAIN}, "each right to be used")
        assert refusals(running) == []
    assert made.is_refused("GET", "/api/v1/secrets")
    assert made.is_refused("GET", "/api/v1/configmaps") is in_namespace


@pytest.mark.exhaustive
def test_what_is_read_from_an_upstream_operators_directory_is_enough_for_all_its_kinds(
    cluster: Cluster, kube: Kube, namespace: str, tmp_path: Path
) -> None:
    """Playbooks, roles of collections, short names of modules, a template, a lookup, finalizers of each sort."""
    crds.install(cluster.api, PROJECT / "config" / "crd" / "bases")
    paths = ("--ansible-roles-path", str(PROJECT / "roles"), "--ansible-collections-path", str(PROJECT / "collections"))
    roles = printed(PROJECT, "--crds", "config/crd", *paths, HOSTING_HOME=str(PROJECT))
    made = account(cluster, tmp_path, namespace, roles)
    tenancy = Tenancy(cluster.api, namespace)
    # The role is that of the watches: without what leader election and protected metrics need.
    flags = ("--leader-elect=false", "--metrics-require-rbac=false", "--metrics-secure=false")
    with hosting_operator(cluster, tmp_path, [namespace], *flags, kubeconfig=made.kubeconfig) as running:
        site = tenancy.sample("Site", "shop")
        backup = tenancy.sample("Backup", "nightly")
        tenancy.certificate("cert")
        site.succeeds()
        backup.succeeds()
        tenancy.find("ConfigMap", "cert-fingerprint").appears()
        for dependent in (tenancy.find("Deployment", "shop"), tenancy.find("Secret", "shop-admin")):
            dependent.comes_back()
        for owner in (site, backup):
            owner.delete()
            owner.goes()
        assert refusals(running) == []


def test_kinds_that_only_a_cluster_knows_are_found_there(cluster: Cluster, tmp_path: Path) -> None:
    gvk = GroupVersionKind("tutorial.my.domain", "v1", "Foo")
    tasks = tmp_path / "roles" / "it" / "tasks"
    tasks.mkdir(parents=True)
    (tasks / "main.yml").write_text("[]")
    watch = {"group": gvk.group, "version": gvk.version, "kind": gvk.kind, "role": "it"}
    (tmp_path / "watches.yaml").write_text(yaml.safe_dump([watch]))
    [role] = printed(tmp_path, "--kubeconfig", str(cluster.kubeconfig))
    resources = {resource for rule in role["rules"] for resource in rule["resources"]}
    assert resources == {"events", "foos", "foos/status"}
