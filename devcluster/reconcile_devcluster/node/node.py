"""One node: its namespaces and network, then its programs, each waited for.

`cluster` calls `start_namespaces` before the API server, which listens on the link to the node, and `start_programs`
after it. `cleanup` undoes it.
"""

from __future__ import annotations

import http
import http.client
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from reconcile_devcluster import components
from reconcile_devcluster.api import JSON
from reconcile_devcluster.binaries import programs
from reconcile_devcluster.certificates import SERVICE_CLUSTER_IP_RANGE, Pki, issue_client_certificate, write_private
from reconcile_devcluster.credentials import create_user
from reconcile_devcluster.errors import StartError
from reconcile_devcluster.node import cgroups, cleanup, containerd, images, kubelet, kubeproxy, network, pauseimage
from reconcile_devcluster.node.files import NODE_NAME, NodeFiles
from reconcile_devcluster.process import ProcessIdentity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconcile_devcluster.api import KubeObject
    from reconcile_devcluster.layout import DataDirectory
    from reconcile_devcluster.node.requirements import SystemPrograms

NAMESPACES = "node"
"""Name of the program that holds the node's namespaces; everything in the node ends with it."""

_SCRIPT = Path(__file__).with_name("namespaces.py")

_SCHEDULER_USER = "system:kube-scheduler"
_API_SERVER_USER = "kube-apiserver-kubelet-client"


class Launch(Protocol):
    """Starts a program in the background and waits until it is ready."""

    def __call__(self, name: str, command: Sequence[str], is_ready: Callable[[], bool]) -> None:
        """Start a program.

        Raises:
            StartError: It ended, or was not ready in time.

        """


class NodeApi(Protocol):
    """What a node asks the API server for, as the administrator (`ApiServer`)."""

    def request(
        self, method: str, path: str, body: KubeObject | None = None, content_type: str = JSON
    ) -> tuple[int, bytes]:
        """Send one request; returns status code and body of the answer.

        Raises:
            OSError: The server could not be reached.

        """

    @staticmethod
    def decode(answer: bytes) -> KubeObject:
        """Object in an answer's body."""


@dataclass(frozen=True, slots=True)
class NodePrograms:
    """Paths of the node's programs.

    Attributes:
        scheduler: kube-scheduler.
        kubelet: kubelet.
        kube_proxy: kube-proxy.
        pause: Program of the pause image.

    """

    scheduler: Path
    kubelet: Path
    kube_proxy: Path
    pause: Path


class Node:
    """The node of one data directory.

    Attributes:
        files: Its files and names.
        network: Its addresses; known from `start_namespaces` on.

    """

    def __init__(
        self, directory: DataDirectory, programs: NodePrograms, system: SystemPrograms, launch: Launch
    ) -> None:
        self.files = NodeFiles(directory)
        self.network = network.NodeNetwork(self._preferred_slot())
        self._directory = directory
        self._programs = programs
        self._system = system
        self._launch = launch

    def start_namespaces(self) -> None:
        """Make namespaces, control group and network.

        Raises:
            StartError: One of them could not be made.

        """
        cleanup.remove_traces(self.files)
        self.files.root.mkdir(mode=0o711, exist_ok=True)
        self.files.pid_file.unlink(missing_ok=True)
        command = [sys.executable, "-I", "-S", str(_SCRIPT), "hold", f"--data={self.files.root}"]
        command += [f"--kept={path}" for path in self._kept_directories()]
        command += [f"--pid-file={self.files.pid_file}"]
        self._launch(NAMESPACES, command, self.files.pid_file.exists)
        pid = int(self.files.pid_file.read_text(encoding="ascii"))
        self.files.save_process_1(ProcessIdentity.of(pid))
        cgroups.make(self.files.cgroup)
        with network.exclusive():
            self.network = network.NodeNetwork(network.choose_slot(self.network.slot))
            network.connect(self.files.host_link, self.network, SERVICE_CLUSTER_IP_RANGE, pid)
        self.files.slot.write_text(str(self.network.slot), encoding="ascii")

    def api_server_flags(self) -> list[str]:
        """Return what kube-apiserver needs for a cluster with this node; issues its certificate for the kubelet."""
        self.files.pki.mkdir(mode=0o700, exist_ok=True)
        pki = Pki(self._directory.pki)
        certificate, key = issue_client_certificate(pki, _API_SERVER_USER, ["system:masters"])
        write_private(self.files.pki / "apiserver.crt", certificate)
        write_private(self.files.pki / "apiserver.key", key)
        return [
            "--enable-admission-plugins=NodeRestriction",
            # Pods find the API server through the endpoints of its Service.
            "--endpoint-reconciler-type=lease",
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-certificate-authority={pki.ca_certificate}",
            f"--kubelet-client-certificate={self.files.pki / 'apiserver.crt'}",
            f"--kubelet-client-key={self.files.pki / 'apiserver.key'}",
        ]

    def start_programs(self, server: str, api: NodeApi) -> None:
        """Start everything that runs on the node, and wait until the node is ready for Pods.

        Args:
            server: Address of the API server.
            api: The same, asked as the administrator.

        Raises:
            StartError: A program did not become ready.

        """
        self._start_containerd()
        self.start_kubelet(server, api)
        self._start_kube_proxy(server)
        self._start_scheduler(server)

    def start_kubelet(self, server: str, api: NodeApi) -> None:
        """Start the kubelet, wait until it has reported the node ready; Pods of an earlier kubelet's run on."""
        _forget_readiness(api)
        kubeconfig = create_user(self._directory, server, kubelet.KUBELET_USER, kubelet.KUBELET_GROUPS)
        kubelet.write_config(self.files, self.network)
        command = kubelet.kubelet_command(self._programs.kubelet, self.files, kubeconfig, self.network)
        self._launch(programs.KUBELET, self._inside(command), lambda: _takes_pods(api))

    def _start_containerd(self) -> None:
        containerd.write_config(self.files, self._system, self.network)
        command = containerd.containerd_command(self.files, self._system)
        self._launch(containerd.CONTAINERD, self._inside(command), self._containerd_answers)
        pauseimage.write_archive(self._programs.pause, self.files.pause_image)
        images.import_archive(self.files, self._system.ctr, self.files.pause_image)

    def _start_kube_proxy(self, server: str) -> None:
        kubeconfig = create_user(self._directory, server, kubeproxy.KUBE_PROXY_USER)
        command = kubeproxy.kube_proxy_command(self._programs.kube_proxy, kubeconfig, self.network)
        self._launch(programs.KUBE_PROXY, self._inside(command), self._kube_proxy_is_healthy)

    def _start_scheduler(self, server: str) -> None:
        kubeconfig = create_user(self._directory, server, _SCHEDULER_USER)
        command = components.scheduler_command(self._programs.scheduler, kubeconfig)
        self._launch(programs.SCHEDULER, command, lambda: True)

    def _inside(self, command: Sequence[str]) -> list[str]:
        """Command line that runs a program in the node's namespaces."""
        return [
            *(sys.executable, "-I", "-S", str(_SCRIPT), "enter"),
            *(f"--pid={self.files.read_pid()}", *command),
        ]

    def _kept_directories(self) -> set[Path]:
        """Directories that the node's programs need under the paths they have."""
        programs = (self._programs.kubelet, self._programs.kube_proxy, self._system.containerd, self._system.runc)
        return {self._directory.root, self._system.cni_plugins, *(path.parent for path in programs)}

    def _containerd_answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(self.files.containerd_socket)
            except OSError:
                return False
            return True

    def _kube_proxy_is_healthy(self) -> bool:
        connection = http.client.HTTPConnection(self.network.node_address, kubeproxy.HEALTH_PORT, timeout=2)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _preferred_slot(self) -> int:
        """Return the slot of the last start, else a number that other data directories will hardly have."""
        try:
            return int(self.files.slot.read_text(encoding="ascii")) % network.SLOTS
        except (FileNotFoundError, ValueError):
            return int(self.files.identity, 16) % network.SLOTS


def _forget_readiness(api: NodeApi) -> None:
    """Take back what an earlier kubelet of this node has last reported."""
    condition = {"type": "Ready", "status": "Unknown", "reason": "NodeStopped", "message": "The node was stopped."}
    status, answer = api.request(
        "PATCH",
        f"/api/v1/nodes/{NODE_NAME}/status",
        {"status": {"conditions": [condition]}},
        "application/strategic-merge-patch+json",
    )
    if status not in (http.HTTPStatus.OK, http.HTTPStatus.NOT_FOUND):
        raise StartError(f"the node's status cannot be written: {answer.decode(errors='replace')}")


def _takes_pods(api: NodeApi) -> bool:
    """Whether the node is ready and no taint keeps Pods away."""
    try:
        status, answer = api.request("GET", f"/api/v1/nodes/{NODE_NAME}")
    except (OSError, http.client.HTTPException):
        return False
    if status != http.HTTPStatus.OK:
        return False
    node = api.decode(answer)
    conditions = node.get("status", {}).get("conditions", [])
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and not node["spec"].get("taints")
