"""Start, find and stop the control plane of one data directory.

`up` (background) and `foreground` (lives and dies with the caller) are what `cli`, `operator` and the tests call. One
process at a time starts or stops in a directory; `state` tells the next one what runs.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconcile_devcluster import state
from reconcile_devcluster.api import ApiServer
from reconcile_devcluster.cluster import STOP_GRACE, Cluster, ClusterSpec, Programs
from reconcile_devcluster.errors import DevclusterError
from reconcile_devcluster.layout import DataDirectory
from reconcile_devcluster.node.cleanup import remove_traces
from reconcile_devcluster.node.files import NodeFiles
from reconcile_devcluster.node.requirements import check_machine
from reconcile_devcluster.process import ProcessIdentity, stop
from reconcile_devcluster.progress import Progress, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reconcile_devcluster.state import ClusterState


def find(directory: Path) -> ClusterState | None:
    """Return the control plane that runs in a directory; None when there is none, or only parts of one."""
    found = state.load(DataDirectory(directory).state)
    return found if found is not None and found.all_alive() else None


def is_serving(directory: Path) -> bool:
    """Whether the API server of a directory answers `/readyz` with `ok`."""
    api = _known_api(directory)
    return api is not None and api.is_ready()


@dataclass(frozen=True, slots=True)
class StatusReport:
    """What `status` says.

    Attributes:
        serving: Whether the API server is ready.
        text: Lines for people.

    """

    serving: bool
    text: str


def status(directory: Path) -> StatusReport:
    """Look at the control plane of a directory without changing anything."""
    known = state.load(DataDirectory(directory).state)
    if known is None or not any(process.is_alive() for process in known.processes.values()):
        return StatusReport(serving=False, text=f"nothing runs in {directory}")
    serving = known.all_alive() and is_serving(directory)
    lines = [f"server      {known.server} ({'ready' if serving else 'not ready'})"]
    for name, identity in known.processes.items():
        lines.append(f"{name}: pid {identity.pid}, {'running' if identity.is_alive() else 'ended'}")
    lines.append(f"kubeconfig  {DataDirectory(directory).kubeconfig}")
    lines.append("runs        in the background" if known.owner is None else f"runs        under {known.owner.pid}")
    return StatusReport(serving=serving, text="\n".join(lines))


def up(spec: ClusterSpec, find_programs: Callable[[ClusterSpec], Programs]) -> ClusterState:
    """Make sure that a control plane runs in the background; what is left of an earlier one is cleared away.

    Args:
        spec: What is asked for. One that runs already with controllers satisfies a request without.
        find_programs: Called only when something must be started.

    Raises:
        DevclusterError: It could not be started.

    """
    with _exclusive(spec.directory):
        current = find(spec.directory)
        enough = (
            current is not None
            and (current.controllers or not spec.has_controllers)
            and (current.node or not spec.node)
        )
        if current is not None and enough and is_serving(spec.directory):
            return current
        cluster = _prepare(spec, find_programs, owner=None)
        _stop_leftovers(spec.directory)
        cluster.start(_last_port(spec.directory))
        _BACKGROUND.append(cluster)
        return cluster.state


_BACKGROUND: list[Cluster] = []
"""Keeps the handles of background programs, which are to outlive us, from being collected (and warned about)."""


def restart_kubelet(directory: Path, find_programs: Callable[[ClusterSpec], Programs]) -> None:
    """Restart the kubelet of a node that runs in the background; its Pods run on.

    Raises:
        DevclusterError: There is no such node, or the kubelet does not serve.

    """
    with _exclusive(directory):
        current = find(directory)
        if current is None or not current.node or current.owner is not None:
            raise DevclusterError(f"no node runs in the background of {directory}")
        spec = ClusterSpec(directory, controllers=current.controllers, node=True)
        cluster = Cluster(spec, find_programs(spec), owner=None)
        cluster.state = current
        cluster.restart_kubelet()
        _BACKGROUND.append(cluster)


def down(directory: Path) -> bool:
    """Stop the control plane of a directory, also one that another process started. Its data stays.

    Returns:
        Whether there was anything to stop.

    """
    if not DataDirectory(directory).state.exists():
        return False
    with _exclusive(directory):
        known = state.load(DataDirectory(directory).state)
        running = known is not None and any(process.is_alive() for process in known.processes.values())
        _stop_leftovers(directory)
        DataDirectory(directory).state.unlink(missing_ok=True)
        return running


@contextmanager
def foreground(spec: ClusterSpec, find_programs: Callable[[ClusterSpec], Programs]) -> Iterator[Cluster]:
    """Run a control plane that ends with the block, and with the calling thread even when that is killed.

    A background control plane of the same directory is stopped first, its data taken over.

    Raises:
        DevclusterError: It could not be started, or another process runs one in the foreground of this directory.

    """
    owner = ProcessIdentity.of(os.getpid())
    with _exclusive(spec.directory):
        current = find(spec.directory)
        if current is not None and current.owner is not None and current.owner.is_alive():
            raise DevclusterError(f"{spec.directory}: in use by process {current.owner.pid}; stop that one first")
        if current is not None:
            say(f"a control plane runs in the background of {spec.directory}; starting it again in the foreground")
        cluster = _prepare(spec, find_programs, owner)
        _stop_leftovers(spec.directory)
        cluster.start(_last_port(spec.directory))
    try:
        yield cluster
    finally:
        cluster.stop()


def _prepare(
    spec: ClusterSpec, find_programs: Callable[[ClusterSpec], Programs], owner: ProcessIdentity | None
) -> Cluster:
    if spec.node:
        # Asked first, because finding programs may mean to build them.
        check_machine(spec.directory)
    programs = find_programs(spec)
    DataDirectory(spec.directory).logs.mkdir(mode=0o700, exist_ok=True)
    return Cluster(spec, programs, owner)


def _last_port(directory: Path) -> int | None:
    """Port of the API server's last start: kubeconfigs that people copied go on working, where it is free."""
    api = _known_api(directory)
    return None if api is None else api.port


def _known_api(directory: Path) -> ApiServer | None:
    """Return the API server the kubeconfig leads to; None where that is gone or damaged (a start writes it again)."""
    try:
        return ApiServer.from_kubeconfig(DataDirectory(directory).kubeconfig)
    except DevclusterError:
        return None


def _stop_leftovers(directory: Path) -> None:
    """Stop what an earlier start left running."""
    known = state.load(DataDirectory(directory).state)
    for name, identity in reversed(known.processes.items() if known is not None else ()):
        if identity.is_alive():
            with Progress(f"stopping {name}"):
                stop(identity, STOP_GRACE)
    remove_traces(NodeFiles(DataDirectory(directory)))


@contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    """Hold the lock of a data directory, which is created if needed."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with DataDirectory(directory).lock.open("w") as lock:
        with Progress(f"waiting for another start or stop in {directory}"):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
