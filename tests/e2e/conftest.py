"""A cluster with a node, and on it the operator as it is shipped: each once a session, for all tests."""

from __future__ import annotations

import http
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconcile_devcluster.binaries.finder import find_kubectl, find_programs
from reconcile_devcluster.cluster import ClusterSpec
from reconcile_devcluster.controlplane import foreground
from tests.e2e.changing import Village
from tests.e2e.cluster import Target, flat_kubeconfig, load, temporary_namespace
from tests.e2e.deployed import NAME, NAMESPACE, RANDOM_UID, Deployed, write_overlay
from tests.e2e.kubectl import Kubectl
from tests.support.operator_process import REPOSITORY, Kube

IMAGES = {"image": "E2E_IMAGE", "runner_image": "E2E_RUNNER_IMAGE", "pause_image": "E2E_PAUSE_IMAGE"}
"""Attributes of the target, and the variables that name other images than the defaults."""


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Give the cluster that ``E2E_KUBECONFIG`` names, else a devcluster with a node, made for this session."""
    directory = tmp_path_factory.mktemp("e2e")
    named = {name: os.environ[variable] for name, variable in IMAGES.items() if os.environ.get(variable)}
    foreign = os.environ.get("E2E_KUBECONFIG", "")
    if foreign:
        kubectl = Kubectl(find_kubectl(), Path(foreign))
        flat = flat_kubeconfig(kubectl, directory)
        yield Target(Kubectl(kubectl.program, flat), own=False, directory=directory, **named)
        return
    with foreground(ClusterSpec(directory / "cluster", node=True), find_programs) as cluster:
        kubectl = Kubectl(find_kubectl(), cluster.kubeconfig)
        made = Target(kubectl, own=True, directory=directory / "cluster", **named)
        load(made.directory, made.image)
        yield made


@pytest.fixture(scope="session")
def operator(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Install `config/default`, changed in nothing but its image and its user, and wait until it leads."""
    api = target.api
    status, _ = api.request("GET", f"/api/v1/namespaces/{NAMESPACE}")
    assert status == http.HTTPStatus.NOT_FOUND, f"the namespace {NAMESPACE} is somebody's: it is not touched"
    overlay = write_overlay(
        tmp_path_factory.mktemp("overlay") / "overlay",
        REPOSITORY / "config" / "default",
        target.image,
        patches=[random_user()],
    )
    target.kubectl.run("apply", "-k", str(overlay))
    deployed = Deployed(target.kubectl, api, own_node=target.own)
    deployed.settle()
    yield deployed
    if not target.own:
        target.kubectl.run("delete", "-k", str(overlay))


def random_user() -> dict[str, Any]:
    """Return a patch by which the Pods run as a user that the image does not know."""
    operation = {"op": "add", "path": "/spec/template/spec/securityContext/runAsUser", "value": RANDOM_UID}
    return {"target": {"kind": "Deployment", "name": NAME}, "patch": json.dumps([operation])}


@pytest.fixture(scope="session")
def kube(target: Target) -> Kube:
    return Kube(target.api)


@pytest.fixture
def namespace(kube: Kube) -> Iterator[str]:
    """Give a namespace of the test's own."""
    with temporary_namespace(kube, "e2e") as name:
        yield name


_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> list[str]:
    """Take what tests have measured, a line each: it is printed when all are over."""
    return pytestconfig.stash.setdefault(_FIGURES, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what was measured."""
    lines = config.stash.get(_FIGURES, [])
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture
def village(request: pytest.FixtureRequest, kube: Kube, namespace: str) -> Village:
    """Give Foos and friends that do the same in each session."""
    return Village(kube, namespace, seed=zlib.crc32(request.node.name.encode()))
