"""Where everything of one control plane lies: the data directory's files, named once.

Used by every module that reads or writes them; `controlplane` creates the directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ETCD_SOCKET = "etcd.sock"
"""Socket of etcd, relative to the data directory.

Every program runs with the data directory as working directory, so the path stays short whatever the directory is
(the kernel allows 107 bytes), and no other user of the machine can reach etcd.
"""

ETCD_PEER_SOCKET = "etcd-peer.sock"
"""Socket etcd insists on having for its (absent) peers."""


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Paths inside the directory of one control plane.

    Attributes:
        root: The directory itself, absolute.

    """

    root: Path

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of the administrator (group `system:masters`), mode 0600."""
        return self.root / "kubeconfig"

    @property
    def controllers_kubeconfig(self) -> Path:
        """Kubeconfig of kube-controller-manager."""
        return self.root / "kubeconfig-controllers"

    @property
    def users(self) -> Path:
        """Directory of kubeconfigs made by `credentials.create_user`."""
        return self.root / "users"

    @property
    def pki(self) -> Path:
        """Directory of keys and certificates."""
        return self.root / "pki"

    @property
    def tokens(self) -> Path:
        """Static token file of the API server: `token,user,uid,"groups"`."""
        return self.root / "tokens.csv"

    @property
    def etcd_data(self) -> Path:
        """Data of etcd: the cluster's state."""
        return self.root / "etcd"

    @property
    def etcd_socket(self) -> Path:
        """Absolute path of `ETCD_SOCKET`."""
        return self.root / ETCD_SOCKET

    @property
    def logs(self) -> Path:
        """Directory of one log file for each program, truncated at its start."""
        return self.root / "logs"

    @property
    def state(self) -> Path:
        """What runs at the moment (`state.ClusterState` as JSON)."""
        return self.root / "state.json"

    @property
    def lock(self) -> Path:
        """Held while a control plane of this directory is being started or stopped."""
        return self.root / "lock"
