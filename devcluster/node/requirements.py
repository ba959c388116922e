"""What a node needs of the machine: root, and programs that come from the distribution's packages.

Asked by `controlplane` before anything is built or started.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from devcluster.errors import DevclusterError

_ELSEWHERE = "a cluster of kind or minikube serves as well"

_CNI_DIRECTORIES = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
_CNI_PLUGINS = ("host-local", "loopback", "portmap", "ptp")
_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr", "runc", "iptables", "conntrack", "ip", "nsenter", "mount")


class NodeUnavailableError(DevclusterError):
    """The machine cannot have a node."""


@dataclass(frozen=True, slots=True)
class SystemPrograms:
    """Programs of the distribution.

    Attributes:
        containerd: The container runtime.
        ctr: Its client.
        runc: What starts containers for it.
        cni_plugins: Directory of the network plugins.

    """

    containerd: Path
    ctr: Path
    runc: Path
    cni_plugins: Path


def find_system_programs() -> SystemPrograms:
    """Find what a node needs.

    Raises:
        NodeUnavailableError: We are not root, or something is missing.

    """
    if os.geteuid() != 0:
        raise NodeUnavailableError(f"a node needs root (we are user {os.geteuid()}); {_ELSEWHERE}")
    found = {name: shutil.which(name, path=_search_path()) for name in _PROGRAMS}
    plugins = next(
        (Path(one) for one in _CNI_DIRECTORIES if all(Path(one, name).exists() for name in _CNI_PLUGINS)), None
    )
    missing = [name for name, path in found.items() if path is None]
    if plugins is None:
        missing.append(f"CNI plugins (in {' or '.join(_CNI_DIRECTORIES)})")
    if missing or plugins is None:
        raise NodeUnavailableError(
            f"a node needs {', '.join(missing)} (python -m tools.system_packages node); {_ELSEWHERE}"
        )
    paths = {name: Path(path) for name, path in found.items() if path is not None}
    return SystemPrograms(paths["containerd"], paths["ctr"], paths["runc"], plugins)


def _search_path() -> str:
    """PATH, with the directories of administrators' programs, which are not on everybody's."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
