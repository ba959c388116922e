"""Start, find and stop the control plane of one data directory.

`up` (background) and `foreground` (lives and dies with the caller) are what `cli`, `operator_run` and the tests call. Both
prepare the files, start etcd, wait for it, start kube-apiserver, and wait until `/readyz` says `ok`; what runs is
written to `state`.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from devcluster import components, state
from devcluster.api import ApiServer
from devcluster.certificates import Pki, ensure_pki
from devcluster.credentials import ADMIN, CONTROLLERS, create_user, ensure_tokens, write_token_kubeconfig
from devcluster.errors import DevclusterError, StartFailed
from devcluster.etcd import etcd_is_healthy
from devcluster.layout import DataDirectory
from devcluster.ports import reserved_port
from devcluster.process import ProcessIdentity, spawn, stop
from devcluster.progress import Progress, say
from devcluster.state import ClusterState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

START_TIMEOUT = 120.0
"""Seconds each program gets to become ready; a busy CI machine needs more than the usual three."""

STOP_GRACE = 15.0
"""Seconds each program gets to end after SIGTERM."""

_POLL_INTERVAL = 0.05
"""Seconds between two questions whether a program, which cannot tell us, is ready."""

_LOG_LINES = 15
"""Lines of a program's log shown when it failed."""


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """What is asked for.

    Attributes:
        directory: Data directory, absolute; created when it is not there.
        controllers: Whether kube-controller-manager runs too. Default: no.
        api_server_flags: Further flags of kube-apiserver. Default: none.
    """

    directory: Path
    controllers: bool = False
    api_server_flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of the binaries.

    Attributes:
        etcd: etcd.
        api_server: kube-apiserver.
        controller_manager: kube-controller-manager, where it is asked for.
    """

    etcd: Path
    api_server: Path
    controller_manager: Path | None = None


class Cluster:
    """The control plane of one data directory, as seen by the process that started it.

    Attributes:
        directory: Its data directory.
        state: What runs.
    """

    def __init__(self, spec: ClusterSpec, programs: Programs, owner: ProcessIdentity | None) -> None:
        self.directory = DataDirectory(spec.directory)
        self.state = ClusterState(port=0, controllers=spec.controllers, processes={}, owner=owner)
        self._spec = spec
        self._programs = programs
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of the administrator."""
        return self.directory.kubeconfig

    @property
    def server(self) -> str:
        """Address of the API server."""
        return self.state.server

    @property
    def api(self) -> ApiServer:
        """The API server, asked as the administrator."""
        return ApiServer.from_kubeconfig(self.kubeconfig)

    def create_user(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Make a user without any rights but RBAC's; returns the path of their kubeconfig."""
        return create_user(self.directory, self.server, user, groups)

    def start(self, preferred_port: int | None) -> None:
        """Start all programs and wait until each is ready.

        Raises:
            StartFailed: One did not become ready; the others are stopped again.
        """
        try:
            self.start_etcd()
            self.start_api_server(preferred_port)
            if self._spec.controllers:
                self.start_controller_manager()
        except BaseException:
            self.stop()
            raise

    def start_etcd(self) -> None:
        """Start etcd and wait until it is healthy."""
        command = components.etcd_command(self._programs.etcd, self.directory)
        self._launch(components.ETCD, command, lambda: etcd_is_healthy(self.directory))

    def start_api_server(self, preferred_port: int | None = None) -> None:
        """Start kube-apiserver and wait until it is ready; by default on the port of its last start."""
        tokens = ensure_tokens(self.directory.tokens)
        with reserved_port(preferred_port or self.state.port or None) as port:
            self.state = replace(self.state, port=port)
            for path, user in (
                (self.directory.kubeconfig, ADMIN),
                (self.directory.controllers_kubeconfig, CONTROLLERS),
            ):
                write_token_kubeconfig(
                    path,
                    server=self.server,
                    ca_certificate=Pki(self.directory.pki).ca_certificate,
                    user=user,
                    token=tokens[user],
                )
            command = components.api_server_command(
                self._programs.api_server,
                self.directory,
                port=port,
                controllers=self._spec.controllers,
                extra=self._spec.api_server_flags,
            )
            self._launch(components.API_SERVER, command, self.api.is_ready)

    def start_controller_manager(self) -> None:
        """Start kube-controller-manager; it is ready when it has created the first ServiceAccount."""
        if self._programs.controller_manager is None:
            raise StartFailed(f"{components.CONTROLLER_MANAGER}: no binary was given")
        command = components.controller_manager_command(self._programs.controller_manager, self.directory)
        self._launch(components.CONTROLLER_MANAGER, command, self._has_default_service_account)

    def stop_api_server(self) -> None:
        """Stop kube-apiserver alone, for tests of an API server that cannot be reached; `start_api_server` brings it back."""
        self._stop(components.API_SERVER)

    def stop(self) -> None:
        """Stop everything, last started first."""
        for name in reversed(self.state.processes):
            self._stop(name)
        self.directory.state.unlink(missing_ok=True)

    def failed_program(self) -> str | None:
        """Name of a program that has ended by itself, if there is one."""
        return next((name for name, identity in self.state.processes.items() if not identity.is_alive()), None)

    def log_of(self, name: str) -> Path:
        """Log file of a program."""
        return self.directory.logs / f"{name}.log"

    def _launch(self, name: str, command: list[str], is_ready: Callable[[], bool]) -> None:
        log = self.log_of(name)
        child = spawn(command, cwd=self.directory.root, log=log, dies_with_starter=self.state.owner is not None)
        self._children[name] = child
        try:
            identity = ProcessIdentity.of(child.pid)
        except ProcessLookupError as error:
            raise StartFailed(f"{name} ended at once\n{_tail(log)}") from error
        self.state = replace(self.state, processes={**self.state.processes, name: identity})
        state.save(self.directory.state, self.state)
        deadline = time.monotonic() + START_TIMEOUT
        with Progress(f"waiting for {name}"):
            while not is_ready():
                if child.poll() is not None:
                    raise StartFailed(
                        f"{name} ended with exit code {child.returncode} instead of serving\n{_tail(log)}"
                    )
                if time.monotonic() > deadline:
                    raise StartFailed(f"{name} was not ready within {START_TIMEOUT:.0f} s\n{_tail(log)}")
                time.sleep(_POLL_INTERVAL)

    def _stop(self, name: str) -> None:
        with Progress(f"stopping {name}"):
            if not stop(self.state.processes[name], STOP_GRACE):
                say(f"{name} did not end within {STOP_GRACE:.0f} s and was killed")
        child = self._children.pop(name, None)
        if child is not None:
            child.wait()

    def _has_default_service_account(self) -> bool:
        status, _ = self.api.request("GET", "/api/v1/namespaces/default/serviceaccounts/default")
        return status == 200


def find(directory: Path) -> ClusterState | None:
    """The control plane that runs in a directory; None when there is none, or only parts of one."""
    found = state.load(DataDirectory(directory).state)
    return found if found is not None and found.all_alive() else None


def is_serving(directory: Path) -> bool:
    """Whether the API server of a directory answers `/readyz` with `ok`."""
    return ApiServer.from_kubeconfig(DataDirectory(directory).kubeconfig).is_ready()


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
    if known is None:
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
        enough = current is not None and (current.controllers or not spec.controllers)
        if current is not None and enough and is_serving(spec.directory):
            return current
        cluster = _prepare(spec, find_programs(spec), owner=None)
        cluster.start(_stop_leftovers(spec.directory))
        _BACKGROUND.append(cluster)
        return cluster.state


_BACKGROUND: list[Cluster] = []
"""Keeps the handles of background programs, which are to outlive us, from being collected (and warned about)."""


def down(directory: Path) -> bool:
    """Stop the control plane of a directory, whoever started it. Its data stays.

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
            say(f"a control plane runs in the background of {spec.directory}; starting it anew in the foreground")
        cluster = _prepare(spec, find_programs(spec), owner)
        cluster.start(_stop_leftovers(spec.directory))
    try:
        yield cluster
    finally:
        cluster.stop()


def _prepare(spec: ClusterSpec, programs: Programs, owner: ProcessIdentity | None) -> Cluster:
    directory = DataDirectory(spec.directory)
    ensure_pki(Pki(directory.pki))
    directory.logs.mkdir(mode=0o700, exist_ok=True)
    return Cluster(spec, programs, owner)


def _stop_leftovers(directory: Path) -> int | None:
    """Stop what an earlier start left running; returns the port its API server had."""
    known = state.load(DataDirectory(directory).state)
    if known is None:
        return None
    for name, identity in reversed(known.processes.items()):
        if identity.is_alive():
            with Progress(f"stopping {name}"):
                stop(identity, STOP_GRACE)
    return known.port


@contextmanager
def _exclusive(directory: Path) -> Iterator[None]:
    """Hold the lock of a data directory, which is created if needed."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with DataDirectory(directory).lock.open("w") as lock:
        with Progress(f"waiting for another start or stop in {directory}"):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    return "\n".join([f"last lines of {log}:", *lines])
