"""The example operators, each from its own watches file, on a control plane with its controllers."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from reconcile_devcluster import crds
from reconcile_devcluster.binaries.finder import find_kubectl
from tests.support.kustomized import Kubectl
from tests.support.operator_process import REPOSITORY, Kube, OperatorProcess, eventually, foo_path, operator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconcile_devcluster.cluster import Cluster

pytestmark = pytest.mark.timeout(300)

EXAMPLES = REPOSITORY / "examples"

_numbers = itertools.count(1)


class Example:
    """One example, and the requests that tests make about its objects."""

    def __init__(self, kube: Kube, namespace: str, group: str, plural: str) -> None:
        self.kube = kube
        self.namespace = namespace
        self.group = group
        self.plural = plural

    def path(self, name: str = "") -> str:
        return f"/apis/{self.group}/v1/namespaces/{self.namespace}/{self.plural}/{name}".rstrip("/")

    def create(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        body = {"apiVersion": f"{self.group}/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self.kube.api.call("POST", self.path(), body)

    def change(self, name: str, **spec: Any) -> None:
        self.kube.patch(self.path(name), {"spec": spec})

    def status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.kube.api.call("GET", self.path(name)).get("status", {})
        return status

    def delete(self, path: str) -> None:
        self.kube.api.call("DELETE", path)

    def get(self, path: str) -> dict[str, Any]:
        """Return an object, or an empty mapping where there is none."""
        return self.kube.api.call("GET", path) if self.kube.exists(path) else {}


@contextmanager
def serving(name: str, example: Example, cluster: Cluster) -> Iterator[OperatorProcess]:
    """Run the operator for an example as it is, in the example's namespace."""
    directory = EXAMPLES / name
    env = {"WATCH_NAMESPACE": example.namespace, "ANSIBLE_GATHERING": "explicit"}
    flags = ("--ansible-roles-path", str(directory / "roles"))
    with operator(cluster.kubeconfig, directory / "watches.yaml", flags=flags, env=env) as running:
        yield running


def example(cluster: Cluster, name: str, group: str, plural: str) -> Example:
    crds.install(cluster.api, EXAMPLES / name / "crds")
    kube = Kube(cluster.api)
    namespace = f"{name}-{next(_numbers)}"
    kube.create_namespace(namespace)
    return Example(kube, namespace, group, plural)


@pytest.fixture(scope="module")
def apps(controllers_cluster: Cluster) -> Example:
    return example(controllers_cluster, "appservice", "app.example.com", "appservices")


@pytest.fixture(scope="module")
def serving_apps(apps: Example, controllers_cluster: Cluster) -> Iterator[OperatorProcess]:
    with serving("appservice", apps, controllers_cluster) as running:
        yield running


def deployment(apps: Example, name: str) -> str:
    return f"/apis/apps/v1/namespaces/{apps.namespace}/deployments/{name}"


def service(apps: Example, name: str) -> str:
    return f"/api/v1/namespaces/{apps.namespace}/services/{name}"


def ports(apps: Example, name: str) -> list[int]:
    return [port["port"] for port in apps.get(service(apps, name)).get("spec", {}).get("ports", [])]


def image(apps: Example, name: str) -> str:
    found = apps.get(deployment(apps, name))
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"]) if found else ""


HTTP = {"name": "http", "port": 80}
HTTPS = {"name": "https", "port": 443, "targetPort": 8443}


def test_an_app_service_has_pods_and_ports_as_it_says_and_follows_each_change(
    apps: Example, serving_apps: OperatorProcess
) -> None:
    apps.create("AppService", "shop", {"size": 2, "image": "shop:1", "ports": [HTTP]})
    eventually(lambda: ports(apps, "shop") == [80], "the Service")
    assert apps.get(deployment(apps, "shop"))["spec"]["replicas"] == 2
    [seen] = apps.get(service(apps, "shop"))["spec"]["ports"]
    eventually(lambda: apps.status("shop").get("nodePorts") == [seen["nodePort"]], "the port of the nodes")
    pods = f"/api/v1/namespaces/{apps.namespace}/pods?labelSelector=app.kubernetes.io/instance=shop"
    eventually(lambda: len(apps.get(pods)["items"]) == 2, "the Pods, which the controllers make")

    apps.change("shop", size=3, image="shop:2", ports=[HTTPS])
    eventually(lambda: image(apps, "shop") == "shop:2", "the new image")
    eventually(lambda: ports(apps, "shop") == [443], "the new port in place of the old one")
    assert apps.get(deployment(apps, "shop"))["spec"]["replicas"] == 3


def test_pods_that_become_ready_are_counted(apps: Example, serving_apps: OperatorProcess) -> None:
    apps.create("AppService", "counted", {"size": 1, "image": "shop:1", "ports": [HTTP]})
    eventually(lambda: apps.status("counted").get("readyReplicas") == 0, "none to be ready")
    pods = f"/api/v1/namespaces/{apps.namespace}/pods?labelSelector=app.kubernetes.io/instance=counted"
    eventually(lambda: len(apps.get(pods)["items"]) == 1, "the Pod")
    [pod] = apps.get(pods)["items"]
    # What a kubelet would say.
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    apps.kube.patch(f"/api/v1/namespaces/{apps.namespace}/pods/{pod['metadata']['name']}/status", {"status": ready})
    eventually(lambda: apps.status("counted").get("readyReplicas") == 1, "one to be ready")


@pytest.mark.usefixtures("serving_apps")
def test_a_dependent_that_is_deleted_comes_back_and_all_go_with_their_owner(apps: Example) -> None:
    apps.create("AppService", "healed", {"image": "shop:1", "ports": [HTTP]})
    eventually(lambda: ports(apps, "healed") == [80], "the Service")
    dependents = deployment(apps, "healed"), service(apps, "healed")
    for path in dependents:
        comes_back(apps, path)
    apps.delete(apps.path("healed"))
    eventually(lambda: not any(map(apps.kube.exists, dependents)), "the dependents to be gone")


def comes_back(apps: Example, path: str) -> None:
    """Delete an object, and wait for another one in its place."""
    before = apps.get(path)["metadata"]["uid"]
    apps.delete(path)
    eventually(lambda: apps.get(path).get("metadata", {}).get("uid", before) != before, f"a new {path}")


@pytest.fixture(scope="module")
def posts(controllers_cluster: Cluster) -> Example:
    return example(controllers_cluster, "blogpost", "iximiuz.com", "blogposts")


@pytest.fixture(scope="module")
def serving_posts(posts: Example, controllers_cluster: Cluster) -> Iterator[OperatorProcess]:
    with serving("blogpost", posts, controllers_cluster) as running:
        yield running


def page(posts: Example, name: str) -> str:
    return f"/api/v1/namespaces/{posts.namespace}/configmaps/blogpost-{name}"


def html(posts: Example, name: str) -> str:
    return str(posts.get(page(posts, name)).get("data", {}).get("index.html", ""))


def test_a_blog_post_is_published_once_follows_its_title_and_is_unpublished_when_deleted(
    posts: Example, serving_posts: OperatorProcess
) -> None:
    posts.create("BlogPost", "first", {"title": "Hello <world> & {{ 1 + 1 }}", "author": "Jane"})
    escaped = "<h1>Hello &lt;world&gt; &amp; {{ 1 + 1 }}</h1>"
    eventually(lambda: escaped in html(posts, "first"), "the page")
    eventually(lambda: bool(posts.status("first").get("publishedAt")), "the time of publication")
    published = posts.status("first")["publishedAt"]
    assert posts.status("first")["page"] == "blogpost-first"

    posts.change("first", title="Hello again")
    eventually(lambda: "<h1>Hello again</h1>" in html(posts, "first"), "the new title")
    assert posts.status("first")["publishedAt"] == published

    posts.delete(posts.path("first"))
    eventually(lambda: not posts.kube.exists(posts.path("first")), "the post to be gone")
    assert not posts.kube.exists(page(posts, "first"))


def changed_when_run_again(running: OperatorProcess, kube: Kube, path: str) -> int:
    """Run for an object again, three times in a row; return how many tasks the last run called changed."""
    name = path.rpartition("/")[2]
    for number in range(3):
        before = len(running.messages("reconciled", name=name))
        kube.patch(path, {"metadata": {"annotations": {"reconcile-runner/reconcile-now": str(number)}}})
        eventually(
            lambda before=before: len(running.messages("reconciled", name=name)) > before,  # type: ignore[misc]
            f"another run for {name}",
        )
    return int(str(running.messages("reconciled", name=name)[-1]["changed"]))


def test_an_example_that_has_nothing_to_do_changes_nothing(
    apps: Example, serving_apps: OperatorProcess, posts: Example, serving_posts: OperatorProcess
) -> None:
    apps.create("AppService", "still", {"size": 1, "image": "shop:1", "ports": [HTTP]})
    posts.create("BlogPost", "still", {"title": "Nothing new", "author": "Jane"})
    eventually(lambda: apps.status("still").get("readyReplicas") == 0, "the app's status")
    eventually(lambda: bool(posts.status("still").get("publishedAt")), "the time of publication")
    assert changed_when_run_again(serving_apps, apps.kube, apps.path("still")) == 0
    assert changed_when_run_again(serving_posts, posts.kube, posts.path("still")) == 0


def test_the_shipped_role_that_has_nothing_to_do_changes_nothing(foo_cluster: Cluster) -> None:
    kube, namespace = Kube(foo_cluster.api), f"still-{next(_numbers)}"
    kube.create_namespace(namespace)
    kube.create_pod(namespace, "jack")
    env = {"WATCH_NAMESPACE": namespace, "ANSIBLE_GATHERING": "explicit"}
    with operator(foo_cluster.kubeconfig, env=env) as running:
        for name, friend in (("happy", "jack"), ("unhappy", "nobody-here")):
            kube.create_foo(namespace, name, friend)
            eventually(lambda name=name: kube.happy(namespace, name) is not None, f"{name}'s status")  # type: ignore[misc]
            assert changed_when_run_again(running, kube, foo_path(namespace, name)) == 0


@pytest.mark.parametrize("name", ["appservice", "blogpost"])
def test_an_example_is_installed_by_its_own_config(controllers_cluster: Cluster, name: str) -> None:
    kubectl = Kubectl(find_kubectl(), controllers_cluster.kubeconfig)
    kubectl.must("apply", "--validate=strict", "-k", f"examples/{name}/config/default")
    pods = f"/api/v1/namespaces/{name}-operator/pods"
    eventually(lambda: len(controllers_cluster.api.call("GET", pods)["items"]) == 1, "the operator's Pod")
    [pod] = controllers_cluster.api.call("GET", pods)["items"]
    account = f"system:serviceaccount:{name}-operator:{pod['spec']['serviceAccountName']}"
    assert pod["metadata"]["labels"]["app.kubernetes.io/name"] == f"{name}-operator"
    asked = ("auth", "can-i", "update", f"leases.coordination.k8s.io/{name}-operator", f"--as={account}")
    assert kubectl.must(*asked, f"--namespace={name}-operator").strip() == "yes"
    kubectl.must("delete", "--wait=false", "-k", f"examples/{name}/config/default")
