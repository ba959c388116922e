"""What a node needs of the machine: root's rights, and programs that come from the distribution's packages.

Asked by `controlplane` before anything is built or started, and by `cli` for containerd's client.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from reconcile_devcluster.errors import DevclusterError
from reconcile_devcluster.node import cgroups

_ELSEWHERE = "a cluster of kind or minikube serves the tests as well (E2E_KUBECONFIG)"

_CNI_DIRECTORIES = ("/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni")
_CNI_PLUGINS = ("host-local", "loopback", "portmap", "ptp")
_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr", "runc", "iptables", "conntrack", "ip", "nsenter", "mount")

DEBIAN_PACKAGES = ("containerd", "runc", "containernetworking-plugins", "iptables", "conntrack", "iproute2")
"""Packages of Debian and Ubuntu that hold what a minimal system lacks of these."""

_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}
"""What root in an unprivileged container lacks, and its bit (capabilities(7))."""


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


def check_machine(directory: Path) -> None:
    """Make sure that a node can run here.

    Args:
        directory: Data directory of its cluster, which exists.

    Raises:
        NodeUnavailableError: We may not, something is missing, or the directory cannot hold containers.

    """
    if os.geteuid() != 0:
        raise NodeUnavailableError(f"a node needs root, found user {os.geteuid()}; {_ELSEWHERE}")
    lacking = lacking_capabilities(Path("/proc/self/status").read_text(encoding="ascii"))
    if lacking:
        raise NodeUnavailableError(f"a node needs {' and '.join(lacking)}, which we lack; {_ELSEWHERE}")
    hierarchies = cgroups.hierarchies()
    if not hierarchies or not all(os.access(one, os.W_OK) for one in hierarchies):
        raise NodeUnavailableError(f"a node needs control groups in {cgroups.ROOT} that it may write; {_ELSEWHERE}")
    find_system_programs()
    answer = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(directory)], capture_output=True, text=True, check=False
    )
    if answer.stdout.strip() == "overlayfs":
        raise NodeUnavailableError(f"{directory}: is on overlayfs, on which no container can have its files; try --dir")


def find_system_programs() -> SystemPrograms:
    """Find what a node needs from the distribution.

    Raises:
        NodeUnavailableError: Something is missing.

    """
    found = {name: shutil.which(name, path=_search_path()) for name in _PROGRAMS}
    missing = [name for name, path in found.items() if path is None]
    plugins = next((path for path in map(Path, _CNI_DIRECTORIES) if _has_plugins(path)), None)
    if plugins is None:
        missing.append(f"the CNI plugins (in {' or '.join(_CNI_DIRECTORIES)})")
    if missing or plugins is None:
        command = f"on Debian and Ubuntu: apt-get install {' '.join(DEBIAN_PACKAGES)}"
        raise NodeUnavailableError(f"a node needs {', '.join(missing)} ({command}); {_ELSEWHERE}")
    paths = {name: Path(path) for name, path in found.items() if path is not None}
    return SystemPrograms(paths["containerd"], paths["ctr"], paths["runc"], plugins)


def lacking_capabilities(status: str) -> list[str]:
    """Return the capabilities that a process lacks, by the text of its /proc/PID/status."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
    effective = int(found.group(1), 16) if found is not None else 0
    return [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]


def _has_plugins(directory: Path) -> bool:
    return all((directory / name).exists() for name in _CNI_PLUGINS)


def _search_path() -> str:
    """PATH, with the directories of administrators' programs, which are not on everybody's."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
