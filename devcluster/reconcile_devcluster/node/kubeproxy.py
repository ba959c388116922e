"""kube-proxy of the node: makes Service addresses lead to Pods, with firewall rules in the node's own network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconcile_devcluster.node.files import NODE_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from reconcile_devcluster.node.network import NodeNetwork

KUBE_PROXY_USER = "system:kube-proxy"
"""User of kube-proxy; RBAC has a role for it."""

HEALTH_PORT = 10256
"""Port of `/healthz` on the node's address."""


def kube_proxy_command(program: Path, kubeconfig: Path, network: NodeNetwork) -> list[str]:
    """kube-proxy with iptables; it leaves the machine's connection tracking as it is."""
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={NODE_NAME}",
        "--proxy-mode=iptables",
        f"--cluster-cidr={network.pod_range}",
        f"--healthz-bind-address={network.node_address}:{HEALTH_PORT}",
        "--metrics-bind-address=127.0.0.1:10249",
        "--iptables-localhost-nodeports=false",
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0s",
        "--conntrack-tcp-timeout-close-wait=0s",
        # For speed: tests do not wait for what belongs together.
        "--iptables-min-sync-period=100ms",
    ]
