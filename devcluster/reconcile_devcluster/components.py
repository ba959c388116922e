"""Command lines of the three programs of a control plane.

`controlplane` starts them in this order: etcd, kube-apiserver, kube-controller-manager. All run with the data directory
as working directory, which is why etcd's socket is a relative path. Flags that are only here for speed say so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconcile_devcluster.certificates import SERVICE_CLUSTER_IP_RANGE, Pki
from reconcile_devcluster.layout import ETCD_PEER_SOCKET, ETCD_SOCKET
from reconcile_devcluster.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reconcile_devcluster.layout import DataDirectory

_SERVICE_ACCOUNT_ISSUER = "https://kubernetes.default.svc"


def etcd_command(program: Path, directory: DataDirectory) -> list[str]:
    """Etcd on a socket in its data directory, reachable by this user alone."""
    return [
        str(program),
        "--name=devcluster",
        f"--data-dir={directory.etcd_data}",
        f"--listen-client-urls=unix://{ETCD_SOCKET}",
        f"--advertise-client-urls=unix://{ETCD_SOCKET}",
        f"--listen-peer-urls=unix://{ETCD_PEER_SOCKET}",
        f"--initial-advertise-peer-urls=unix://{ETCD_PEER_SOCKET}",
        f"--initial-cluster=devcluster=unix://{ETCD_PEER_SOCKET}",
        # A development cluster may lose its last writes with the machine, not with the process.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def api_server_command(
    program: Path,
    directory: DataDirectory,
    *,
    port: int,
    controllers: bool,
    address: str = LOOPBACK,
    authorization: str = "RBAC",
    extra: Sequence[str] = (),
) -> list[str]:
    """kube-apiserver on one address of this machine.

    Args:
        program: The binary.
        directory: Data directory of the control plane.
        port: Port to serve on, which the starter holds already.
        controllers: Whether kube-controller-manager runs too.
        address: IPv4 address to serve on. Default: the loopback interface.
        authorization: Authorizers in their order, with commas. Default: RBAC alone.
        extra: Further flags; they come last and so win.

    """
    pki = Pki(directory.pki)
    command = [
        str(program),
        f"--etcd-servers=unix://{ETCD_SOCKET}",
        f"--bind-address={address}",
        f"--advertise-address={address}",
        f"--secure-port={port}",
        "--permit-port-sharing=true",
        f"--tls-cert-file={pki.server_certificate}",
        f"--tls-private-key-file={pki.server_key}",
        f"--client-ca-file={pki.ca_certificate}",
        f"--token-auth-file={directory.tokens}",
        f"--authorization-mode={authorization}",
        f"--service-account-issuer={_SERVICE_ACCOUNT_ISSUER}",
        f"--service-account-key-file={pki.service_account_key}",
        f"--service-account-signing-key-file={pki.service_account_key}",
        f"--service-cluster-ip-range={SERVICE_CLUSTER_IP_RANGE}",
        "--allow-privileged=true",
        # Nobody else serves this cluster, so its endpoints need no upkeep, which would delay the stop.
        "--endpoint-reconciler-type=none",
        # For speed: one client at a time is no crowd that needs fair queues, and no limit either.
        "--enable-priority-and-fairness=false",
        "--max-requests-inflight=0",
        "--max-mutating-requests-inflight=0",
        "--profiling=false",
    ]
    if not controllers:
        # It asks for a `default` ServiceAccount in each namespace, which only kube-controller-manager creates.
        command.append("--disable-admission-plugins=ServiceAccount")
    return [*command, *extra]


def controller_manager_command(program: Path, directory: DataDirectory) -> list[str]:
    """kube-controller-manager with all controllers of its default set (garbage collection, namespaces, workloads)."""
    pki = Pki(directory.pki)
    kubeconfig = directory.controllers_kubeconfig
    return [
        str(program),
        *_alone(kubeconfig),
        f"--root-ca-file={pki.ca_certificate}",
        f"--service-account-private-key-file={pki.service_account_key}",
        # A ServiceAccount for each controller, with the RBAC roles that Kubernetes brings for them.
        "--use-service-account-credentials=true",
        # For speed: the default (20 requests a second) makes tests wait.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--concurrent-gc-syncs=5",
        "--profiling=false",
    ]


def scheduler_command(program: Path, kubeconfig: Path) -> list[str]:
    """kube-scheduler, which only a cluster with a node needs."""
    return [
        str(program),
        *_alone(kubeconfig),
        "--profiling=false",
    ]


def _alone(kubeconfig: Path) -> list[str]:
    """Return the flags of a program of the control plane that is the only one of its kind and serves nobody."""
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--secure-port=0",
        "--leader-elect=false",
    ]
