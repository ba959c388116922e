"""The programs that a control plane, a node and tests need, each from the first source that has it."""

from __future__ import annotations

from pathlib import Path

from reconcile_devcluster.binaries import programs
from reconcile_devcluster.binaries.sources import AssetsVariable, Cache, GoBuild, default_sources, find
from reconcile_devcluster.cluster import ClusterSpec, Programs
from reconcile_devcluster.node.node import NodePrograms


def find_programs(spec: ClusterSpec) -> Programs:
    """Find what a control plane needs.

    etcd and kube-apiserver come from one source, so that they fit each other.

    Raises:
        BinariesUnavailableError: No source has them.

    """
    servers = find([programs.ETCD, programs.API_SERVER], default_sources())
    manager = find([programs.CONTROLLER_MANAGER], default_sources()) if spec.has_controllers else {}
    return Programs(
        etcd=servers[programs.ETCD],
        api_server=servers[programs.API_SERVER],
        controller_manager=manager.get(programs.CONTROLLER_MANAGER),
        node=_find_node_programs() if spec.node else None,
    )


def _find_node_programs() -> NodePrograms:
    """Find what a node needs besides the distribution's programs. What lies on PATH may be of any version."""
    names = [programs.SCHEDULER, programs.KUBELET, programs.KUBE_PROXY, programs.PAUSE]
    found = find(names, [AssetsVariable(), Cache(None), GoBuild()])
    return NodePrograms(*(found[name] for name in names))


def find_kubectl() -> Path:
    """Find a kubectl: no control plane needs one, but tests and `tools` that build manifests do.

    Raises:
        BinariesUnavailableError: No source has it.

    """
    return find([programs.KUBECTL], default_sources())[programs.KUBECTL]
