"""Where everything of one node lies, below `node/` in the data directory of its cluster, and its names on the machine.

Used by every module of the node.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from reconcile_devcluster.errors import DevclusterError
from reconcile_devcluster.process import ProcessIdentity

if TYPE_CHECKING:
    from pathlib import Path

    from reconcile_devcluster.layout import DataDirectory

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"
"""Socket of containerd, as seen in the node's namespaces."""

NODE_NAME = "devcluster-node"
"""Name of the node, and label `kubernetes.io/hostname`."""


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """Paths and names of one node.

    Attributes:
        data: Data directory of its cluster.

    """

    data: DataDirectory

    @property
    def root(self) -> Path:
        """Directory of the node."""
        return self.data.root / "node"

    @property
    def identity(self) -> str:
        """Eight hexadecimal digits that tell this node from those of other data directories of the machine."""
        return hashlib.sha256(str(self.data.root).encode()).hexdigest()[:8]

    @property
    def host_link(self) -> str:
        """Name of the machine's end of the link to the node (the kernel allows 15 characters)."""
        return f"dcnode{self.identity}"

    @property
    def cgroup(self) -> str:
        """Path of the node's control group in each hierarchy, from its root."""
        return f"/devcluster-{self.identity}"

    @property
    def pid_file(self) -> Path:
        """Pid of process 1 of the node, as the machine counts; written when its mounts are in place."""
        return self.root / "pid"

    @property
    def process_1(self) -> Path:
        """The same process, told from a later one of the same pid."""
        return self.root / "process-1.json"

    @property
    def slot(self) -> Path:
        """The number by which this node's addresses differ from those of others."""
        return self.root / "slot"

    @property
    def containerd_config(self) -> Path:
        """Configuration of containerd."""
        return self.root / "containerd.toml"

    @property
    def cni_config(self) -> Path:
        """Directory of the one CNI configuration."""
        return self.root / "cni"

    @property
    def kubelet_config(self) -> Path:
        """Configuration of the kubelet."""
        return self.root / "kubelet.yaml"

    @property
    def resolv_conf(self) -> Path:
        """What Pods get as /etc/resolv.conf."""
        return self.root / "resolv.conf"

    @property
    def pki(self) -> Path:
        """Directory of the kubelet's certificate and of the API server's for it, mode 0700."""
        return self.root / "pki"

    @property
    def pause_image(self) -> Path:
        """Archive of the pause image."""
        return self.root / "pause.tar"

    @property
    def containerd_socket(self) -> str:
        """Socket of containerd, as seen from outside the node.

        Raises:
            DevclusterError: The node does not run.

        """
        return f"/proc/{self.read_pid()}/root{CONTAINERD_SOCKET}"

    def read_pid(self) -> int:
        """Pid of process 1 of the node, as the machine counts.

        Raises:
            DevclusterError: The node does not run.

        """
        identity = self.load_process_1()
        if identity is None or not identity.is_alive():
            raise DevclusterError(f"no node runs in {self.data.root}")
        return identity.pid

    def save_process_1(self, identity: ProcessIdentity) -> None:
        """Remember process 1 of the node."""
        self.process_1.write_text(json.dumps(asdict(identity)), encoding="utf-8")

    def load_process_1(self) -> ProcessIdentity | None:
        """Process 1 of the node that was last started; None where that is not known."""
        try:
            return ProcessIdentity(**json.loads(self.process_1.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None
