"""One control plane: its programs started in order, each waited for, and stopped in reverse.

`controlplane` decides when; `components` has the command lines and `process` the means. What runs is written to `state`
after each step, so that a crash in between leaves nothing unknown.
"""

from __future__ import annotations

import http
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reconcile_devcluster import components, state
from reconcile_devcluster.api import ApiServer
from reconcile_devcluster.binaries import programs
from reconcile_devcluster.certificates import Pki, ensure_pki
from reconcile_devcluster.credentials import ADMIN, CONTROLLERS, create_user, ensure_tokens, write_token_kubeconfig
from reconcile_devcluster.errors import StartError
from reconcile_devcluster.etcd import etcd_is_healthy
from reconcile_devcluster.layout import DataDirectory
from reconcile_devcluster.node.cleanup import remove_traces
from reconcile_devcluster.node.files import NodeFiles
from reconcile_devcluster.node.node import Node, NodePrograms
from reconcile_devcluster.node.requirements import find_system_programs
from reconcile_devcluster.ports import reserved_port
from reconcile_devcluster.process import ProcessIdentity, spawn, stop
from reconcile_devcluster.progress import Progress, say
from reconcile_devcluster.state import ClusterState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
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
        node: Whether a node runs too, which needs the controllers. Default: no.
        api_server_flags: Further flags of kube-apiserver. Default: none.

    """

    directory: Path
    controllers: bool = False
    api_server_flags: tuple[str, ...] = ()
    node: bool = False

    @property
    def has_controllers(self) -> bool:
        """Whether kube-controller-manager runs."""
        return self.controllers or self.node


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of the binaries.

    Attributes:
        etcd: etcd.
        api_server: kube-apiserver.
        controller_manager: kube-controller-manager, where it is asked for.
        node: Programs of a node, where one is asked for.

    """

    etcd: Path
    api_server: Path
    controller_manager: Path | None = None
    node: NodePrograms | None = None


class Cluster:
    """The control plane of one data directory, as seen by the process that started it.

    Attributes:
        directory: Its data directory.
        state: What runs.

    """

    def __init__(self, spec: ClusterSpec, programs: Programs, owner: ProcessIdentity | None) -> None:
        self.directory = DataDirectory(spec.directory)
        self.state = ClusterState(port=0, controllers=spec.has_controllers, processes={}, owner=owner, node=spec.node)
        self._spec = spec
        self._programs = programs
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._node = self._new_node() if spec.node else None

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
            StartError: One did not become ready; the others are stopped again.

        """
        began = time.monotonic()
        with ExitStack() as unless_complete:
            unless_complete.callback(self.stop)
            if self._node is not None:
                self._node.start_namespaces()
                self.state = replace(self.state, address=self._node.network.host_address)
            ensure_pki(Pki(self.directory.pki), self.state.address)
            self.start_etcd()
            self.start_api_server(preferred_port)
            if self._spec.has_controllers:
                self.start_controller_manager()
            if self._node is not None:
                self._node.start_programs(self.server, self.api)
                say(f"the node takes Pods after {time.monotonic() - began:.0f} s")
            unless_complete.pop_all()

    def start_etcd(self) -> None:
        """Start etcd and wait until it is healthy."""
        command = components.etcd_command(self._programs.etcd, self.directory)
        self._launch(programs.ETCD, command, lambda: etcd_is_healthy(self.directory))

    def start_api_server(self, preferred_port: int | None = None) -> None:
        """Start kube-apiserver and wait until it is ready; by default on the port of its last start."""
        tokens = ensure_tokens(self.directory.tokens)
        address = self.state.address
        with reserved_port(preferred_port or self.state.port or None, address) as port:
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
                controllers=self._spec.has_controllers,
                address=address,
                authorization="Node,RBAC" if self._node else "RBAC",
                extra=[*(self._node.api_server_flags() if self._node else ()), *self._spec.api_server_flags],
            )
            self._launch(programs.API_SERVER, command, self.api.is_ready)

    def start_controller_manager(self) -> None:
        """Start kube-controller-manager; it is ready when it has created the first ServiceAccount."""
        if self._programs.controller_manager is None:
            raise StartError(f"{programs.CONTROLLER_MANAGER}: no binary was given")
        command = components.controller_manager_command(self._programs.controller_manager, self.directory)
        self._launch(programs.CONTROLLER_MANAGER, command, self._has_default_service_account)

    def restart_kubelet(self) -> None:
        """Stop the node's kubelet and start it again; Pods run on meanwhile.

        Raises:
            StartError: There is no node, or the kubelet does not serve.

        """
        if self._node is None:
            raise StartError(f"{self.directory.root}: there is no node")
        self._stop(programs.KUBELET)
        self._node.start_kubelet(self.server, self.api)

    def stop(self) -> None:
        """Stop everything, last started first."""
        for name in reversed(self.state.processes):
            self._stop(name)
        remove_traces(NodeFiles(self.directory))
        self.directory.state.unlink(missing_ok=True)

    def failed_program(self) -> str | None:
        """Name of a program that has ended by itself, if there is one."""
        return next((name for name, identity in self.state.processes.items() if not identity.is_alive()), None)

    def log_of(self, name: str) -> Path:
        """Log file of a program."""
        return self.directory.logs / f"{name}.log"

    def _new_node(self) -> Node:
        if self._programs.node is None:
            raise StartError("node: no binaries were given")
        return Node(self.directory, self._programs.node, find_system_programs(), self._launch)

    def _launch(self, name: str, command: Sequence[str], is_ready: Callable[[], bool]) -> None:
        log = self.log_of(name)
        child = spawn(command, cwd=self.directory.root, log=log, dies_with_starter=self.state.owner is not None)
        self._children[name] = child
        try:
            identity = ProcessIdentity.of(child.pid)
        except ProcessLookupError as error:
            raise StartError(f"{name} ended at once\n{_tail(log)}") from error
        self.state = replace(self.state, processes={**self.state.processes, name: identity})
        state.save(self.directory.state, self.state)
        deadline = time.monotonic() + START_TIMEOUT
        with Progress(f"waiting for {name}"):
            while not is_ready():
                if child.poll() is not None:
                    raise StartError(f"{name} ended with exit code {child.returncode} instead of serving\n{_tail(log)}")
                if time.monotonic() > deadline:
                    raise StartError(f"{name} was not ready within {START_TIMEOUT:.0f} s\n{_tail(log)}")
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
        return status == http.HTTPStatus.OK


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    return "\n".join([f"last lines of {log}:", *lines])
