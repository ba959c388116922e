from __future__ import annotations

from pathlib import Path

from reconcile_devcluster.node.kubeproxy import kube_proxy_command
from reconcile_devcluster.node.network import NodeNetwork

COMMAND = kube_proxy_command(Path("/kube-proxy"), Path("/kubeconfig"), NodeNetwork(5))


def test_it_serves_the_nodes_pods() -> None:
    assert "--cluster-cidr=10.214.5.0/24" in COMMAND
    assert "--healthz-bind-address=10.213.5.2:10256" in COMMAND


def test_it_leaves_settings_of_the_kernel_alone() -> None:
    assert "--conntrack-max-per-core=0" in COMMAND
    assert "--conntrack-tcp-timeout-established=0s" in COMMAND
    assert "--iptables-localhost-nodeports=false" in COMMAND
