"""Faults: each a clear message, no traceback for a user's mistake, recovery by itself, nothing lost."""

from __future__ import annotations

import pytest

from devcluster.cluster import Cluster
from tests.integration.operator_process import Kube, eventually, install_foo_crd, operator

pytestmark = pytest.mark.timeout(300)


def becomes(kube: Kube, namespace: str, name: str, happy: bool) -> None:
    eventually(lambda: kube.happy(namespace, name) is happy, f"{namespace}/{name} to have happy={happy}")


def test_events_while_the_operator_is_down_are_made_good(own_cluster: Cluster) -> None:
    kube, namespace = Kube(own_cluster.api), "default"
    install_foo_crd(own_cluster.api)
    with operator(own_cluster.kubeconfig) as first:
        kube.create_foo(namespace, "foo-a", "ann")
        kube.create_foo(namespace, "foo-b", "bob")
        kube.create_pod(namespace, "ann")
        becomes(kube, namespace, "foo-a", True)
        becomes(kube, namespace, "foo-b", False)
        assert first.stop() == 0
    kube.delete_pod(namespace, "ann")
    kube.create_pod(namespace, "bob")
    kube.create_foo(namespace, "foo-c", "bob")
    with operator(own_cluster.kubeconfig):
        becomes(kube, namespace, "foo-a", False)
        becomes(kube, namespace, "foo-b", True)
        becomes(kube, namespace, "foo-c", True)
