"""The example operators, each an image of its own on the base image, with their own rights, in the cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.cluster import Target
from tests.e2e.deployed import NAME, Deployed
from tests.support.hosting import Hosted
from tests.support.operator_process import REPOSITORY, Kube, eventually

pytestmark = pytest.mark.timeout(900)

EXAMPLES = REPOSITORY / "examples"
CONFIG = REPOSITORY / "config"

RBAC = ("service_account", "leader_election_role", "leader_election_role_binding", "metrics_auth_role")
"""What of `config/rbac` any operator needs, by file."""

HTTP = {"name": "http", "port": 80}


def write_installation(directory: Path, example: str, image: str) -> Path:
    """Write a kustomization that installs an example with `config/manager` and with its own CRDs and rights."""
    here = EXAMPLES / example
    role = here / "config" / "rbac" / "role.yaml"
    files = [CONFIG / "manager", *(CONFIG / "rbac" / f"{name}.yaml" for name in RBAC), role]
    files += [CONFIG / "rbac" / "metrics_auth_role_binding.yaml", *sorted((here / "crds").glob("*.yaml"))]
    name, _, tag = image.rpartition(":")
    directory.mkdir()
    (directory / "binding.yaml").write_text(
        yaml.safe_dump(binding(yaml.safe_load(role.read_text())["metadata"]["name"]))
    )
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": f"{example}-system",
        "namePrefix": f"{example}-",
        "resources": ["binding.yaml", *(os.path.relpath(file, directory) for file in files)],
        "images": [{"name": "localhost/foo-operator", "newName": name, "newTag": tag}],
        "replicas": [{"name": "controller-manager", "count": 1}],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return directory


def binding(role: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "manager-rolebinding"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": "controller-manager", "namespace": "system"}],
    }


@contextmanager
def installed(target: Target, example: str, directory: Path) -> Iterator[Deployed]:
    """Run an example's operator in a namespace of its own until the block ends."""
    overlay = write_installation(directory / example, example, target.image_of_example(example))
    # Files of the example's and of config/ are put together here, from where they are.
    manifest = target.kubectl.run("kustomize", "--load-restrictor=LoadRestrictionsNone", str(overlay))
    target.kubectl.run("apply", "--filename", "-", stdin=manifest)
    try:
        name = NAME.replace("foo-operator", example)
        deployed = Deployed(target.kubectl, target.api, f"{example}-system", name, replicas=1)
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
