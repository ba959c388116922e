"""A real control plane for the integration tests: one for each worker, in a directory of its own, gone with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster.binaries.finder import find_programs
from reconcile_devcluster.cluster import Cluster, ClusterSpec
from reconcile_devcluster.controlplane import foreground
from tests.support.ansible_support import RecordingProxy, recording_proxy
from tests.support.operator_process import install_foo_crd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session", autouse=True)
def _no_ambient_cluster() -> Iterator[None]:
    """Forget the environment: a `KUBECONFIG` that happens to be set must never lead a test to somebody's cluster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("KUBECONFIG", raising=False)
        patch.delenv("K8S_AUTH_KUBECONFIG", raising=False)
        yield


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run etcd and kube-apiserver, shared by the session. Tests that stop the API server use `own_cluster`."""
    with foreground(ClusterSpec(tmp_path_factory.mktemp("devcluster")), find_programs) as running:
        yield running


@pytest.fixture(scope="session")
def controllers_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run the same with kube-controller-manager: garbage collection, namespaces that go, ServiceAccounts."""
    spec = ClusterSpec(tmp_path_factory.mktemp("devcluster-controllers"), controllers=True)
    with foreground(spec, find_programs) as running:
        yield running


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Run a control plane for one test alone, which may stop and start its API server."""
    with foreground(ClusterSpec(tmp_path / "devcluster"), find_programs) as running:
        yield running


@pytest.fixture(scope="session")
def kubeconfig(cluster: Cluster) -> Path:
    """Admin kubeconfig of `cluster`."""
    return cluster.kubeconfig


@pytest.fixture(scope="session")
def foo_cluster(cluster: Cluster) -> Cluster:
    """Return `cluster` with the Foo kind, for tests of the whole operator. Each has a namespace of its own."""
    install_foo_crd(cluster.api)
    return cluster


@pytest.fixture
def proxy(foo_cluster: Cluster) -> Iterator[RecordingProxy]:
    """Run a proxy before `foo_cluster` that remembers requests."""
    with recording_proxy(foo_cluster) as running:
        yield running
