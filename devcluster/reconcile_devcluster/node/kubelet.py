"""The kubelet of the node: configuration, command line, credentials.

`node` starts it in the node's namespaces. It answers the API server alone (logs, exec, attach, port-forward): callers
show a certificate of the cluster's CA, and the API server says what they may do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from reconcile_devcluster.certificates import Pki, issue_server_certificate, write_private
from reconcile_devcluster.node.files import CONTAINERD_SOCKET, NODE_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from reconcile_devcluster.node.files import NodeFiles
    from reconcile_devcluster.node.network import NodeNetwork

KUBELET_USER = f"system:node:{NODE_NAME}"
"""User of the kubelet; the API server's node authorizer knows what it may do."""

KUBELET_GROUPS = ("system:nodes",)

KUBELET_PORT = 10250

_NO_NAME_SERVICE = "# There is no name service in this cluster: questions are refused at once.\nnameserver 127.0.0.1\n"


def write_config(files: NodeFiles, network: NodeNetwork) -> None:
    """Write the kubelet's configuration and its server certificate."""
    pki = Pki(files.data.pki)
    files.pki.mkdir(mode=0o700, exist_ok=True)
    certificate, key = issue_server_certificate(pki, NODE_NAME, (NODE_NAME,), (network.node_address,))
    write_private(files.pki / "kubelet.crt", certificate)
    write_private(files.pki / "kubelet.key", key)
    files.resolv_conf.write_text(_NO_NAME_SERVICE, encoding="ascii")
    files.kubelet_config.write_text(yaml.safe_dump(_config(files, network), sort_keys=False), encoding="utf-8")


def kubelet_command(program: Path, files: NodeFiles, kubeconfig: Path, network: NodeNetwork) -> list[str]:
    """Return the command line of the kubelet with its configuration."""
    return [
        str(program),
        f"--config={files.kubelet_config}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={network.node_address}",
        "--cert-dir=/var/lib/kubelet/pki",
    ]


def _config(files: NodeFiles, network: NodeNetwork) -> dict[str, object]:
    """KubeletConfiguration (kubelet.config.k8s.io/v1beta1)."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.node_address,
        "port": KUBELET_PORT,
        "healthzPort": 0,
        "tlsCertFile": str(files.pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(files.pki / "kubelet.key"),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(Pki(files.data.pki).ca_certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": files.cgroup,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "resolvConf": str(files.resolv_conf),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        # A full disk or a busy machine is no reason to throw Pods or images out.
        "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0%", "imagefs.available": "0%"}
        | {"nodefs.inodesFree": "0%", "imagefs.inodesFree": "0%"},
        "imageGCHighThresholdPercent": 100,
        "maxPods": 110,
        # For speed: a container that crashed starts again at once.
        "featureGates": {"KubeletCrashLoopBackOffMax": True},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},
    }
