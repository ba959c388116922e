"""What runs in a data directory: written after each start, read by `status`, `down` and the next `up`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from reconcile_devcluster.certificates import write_private
from reconcile_devcluster.ports import LOOPBACK
from reconcile_devcluster.process import ProcessIdentity

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ClusterState:
    """The processes of one control plane.

    Attributes:
        port: Port of the API server.
        controllers: Whether kube-controller-manager belongs to it.
        processes: Program name to process, in the order of their start; stopped in reverse.
        owner: The process this control plane lives and dies with; None when it runs in the background.
        address: IPv4 address the API server listens on. Default: 127.0.0.1.
        node: Whether a node belongs to it. Default: no.

    """

    port: int
    controllers: bool
    processes: dict[str, ProcessIdentity]
    owner: ProcessIdentity | None = None
    address: str = LOOPBACK
    node: bool = False

    @property
    def server(self) -> str:
        """Address of the API server."""
        return f"https://{self.address}:{self.port}"

    def all_alive(self) -> bool:
        """Whether every process of it still runs."""
        return all(process.is_alive() for process in self.processes.values())


def load(path: Path) -> ClusterState | None:
    """Read the state; None when there is none or it cannot be read (a crash while writing cannot cause that)."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        owner = data["owner"]
        return ClusterState(
            port=int(data["port"]),
            controllers=bool(data["controllers"]),
            processes={name: _identity(fields) for name, fields in data["processes"].items()},
            owner=None if owner is None else _identity(owner),
            address=str(data.get("address", LOOPBACK)),
            node=bool(data.get("node", False)),
        )
    except (FileNotFoundError, json.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def save(path: Path, state: ClusterState) -> None:
    """Replace the state all at once."""
    write_private(path, json.dumps(asdict(state), indent=2).encode())


def _identity(fields: dict[str, Any]) -> ProcessIdentity:
    return ProcessIdentity(
        pid=int(fields["pid"]), start_ticks=int(fields["start_ticks"]), boot_id=str(fields["boot_id"])
    )
