"""The example operators, each an image of its own on the base image, with their own rights, in the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.cluster import Target
from tests.e2e.deployed import Deployed, write_overlay
from tests.support.hosting import Hosted
from tests.support.operator_process import REPOSITORY, Kube, eventually

pytestmark = pytest.mark.timeout(900)

EXAMPLES = REPOSITORY / "examples"

HTTP = {"name": "http", "port": 80}


@contextmanager
def installed(target: Target, example: str, directory: Path) -> Iterator[Deployed]:
    """Run an example's operator in a namespace of its own until the block ends."""
    operator = f"{example}-operator"
    default = EXAMPLES / example / "config" / "default"
    overlay = write_overlay(directory / example, default, target.image_of_example(example), f"localhost/{operator}")
    manifest = target.kubectl.run("kustomize", str(overlay))
    target.kubectl.run("apply", "--filename", "-", stdin=manifest)
    try:
        name = f"{operator}-controller-manager"
        deployed = Deployed(target.kubectl, target.api, operator, name, lease_name=operator, replicas=1)
        deployed.settle()
        yield deployed
    finally:
        target.kubectl.run("delete", "--wait=false", "--filename", "-", stdin=manifest)


@pytest.fixture(scope="module")
def apps(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with installed(target, "appservice", tmp_path_factory.mktemp("appservice")) as running:
        yield running


@pytest.mark.usefixtures("apps")
def test_an_app_service_has_pods_that_run_and_heals_and_takes_all_with_it(
    kube: Kube, target: Target, namespace: str
) -> None:
    app = Hosted(kube.api, f"/apis/app.example.com/v1/namespaces/{namespace}/appservices", "shop")
    deployment = Hosted(kube.api, f"/apis/apps/v1/namespaces/{namespace}/deployments", "shop")
    service = Hosted(kube.api, f"/api/v1/namespaces/{namespace}/services", "shop")
    body = {"apiVersion": "app.example.com/v1", "kind": "AppService", "metadata": {"name": "shop"}}
    kube.api.call("POST", app.collection, {**body, "spec": {"size": 1, "image": target.pause_image, "ports": [HTTP]}})
    eventually(lambda: app.status.get("readyReplicas") == 1, "a Pod to run and be counted")
    target.kubectl.wait(namespace, "appservice/shop", "condition=Ready")

    app.merge({"spec": {"size": 2}})
    eventually(lambda: app.status.get("readyReplicas") == 2, "two Pods to run and be counted")

    deployment.comes_back()
    service.comes_back()
    eventually(lambda: deployment.status.get("readyReplicas") == 2, "the Pods of the new Deployment to run")

    app.delete()
    for one in (app, deployment, service):
        one.goes()
    pods = f"/api/v1/namespaces/{namespace}/pods"
    eventually(lambda: not kube.api.call("GET", pods)["items"], "the Pods to be gone")


@pytest.fixture(scope="module")
def posts(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with installed(target, "blogpost", tmp_path_factory.mktemp("blogpost")) as running:
        yield running


def test_a_blog_post_is_unpublished_by_its_finalizer_when_it_is_deleted(
    posts: Deployed, kube: Kube, namespace: str
) -> None:
    post = Hosted(kube.api, f"/apis/iximiuz.com/v1/namespaces/{namespace}/blogposts", "first")
    page = Hosted(kube.api, f"/api/v1/namespaces/{namespace}/configmaps", "blogpost-first")
    body = {"apiVersion": "iximiuz.com/v1", "kind": "BlogPost", "metadata": {"name": "first"}}
    with posts.logs().followed() as logs:
        kube.api.call("POST", post.collection, {**body, "spec": {"title": "Hello <world>", "author": "Jane"}})
        eventually(lambda: bool(post.status.get("publishedAt")), "the post to be published")
        assert "<h1>Hello &lt;world&gt;</h1>" in page.data["index.html"]
        assert post.get()["metadata"]["finalizers"] == ["iximiuz.com/unpublish"]
        page.comes_back()
        post.delete()
        post.goes()
        page.goes()
    (line,) = [line for log in logs.processes() for line in log.messages("finalized", namespace=namespace)]
    assert line["finalizer"] == "iximiuz.com/unpublish"
