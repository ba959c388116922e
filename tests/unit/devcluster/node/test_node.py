from __future__ import annotations

import http
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster.certificates import Pki, ensure_pki
from reconcile_devcluster.errors import StartError
from reconcile_devcluster.node import node
from reconcile_devcluster.node.node import Node, NodePrograms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconcile_devcluster.api import KubeObject
    from reconcile_devcluster.node.files import NodeFiles
    from reconcile_devcluster.node.requirements import SystemPrograms

PROGRAMS = NodePrograms(
    scheduler=Path("/kube-scheduler"), kubelet=Path("/kubelet"), kube_proxy=Path("/kube-proxy"), pause=Path("/pause")
)


@dataclass(slots=True)
class FakeServer:
    """Answers each request alike; stands for `ApiServer.request`."""

    status: int
    answer: KubeObject = field(default_factory=dict)
    bodies: list[KubeObject | None] = field(default_factory=list)

    def request(
        self, method: str, path: str, body: KubeObject | None = None, content_type: str = ""
    ) -> tuple[int, bytes]:
        self.bodies.append(body)
        if self.status == 0:
            raise TimeoutError
        return self.status, json.dumps(self.answer).encode()

    @staticmethod
    def decode(answer: bytes) -> KubeObject:
        decoded: KubeObject = json.loads(answer)
        return decoded


def never_launch(name: str, command: Sequence[str], is_ready: Callable[[], bool]) -> None:
    raise AssertionError(name)


@pytest.fixture
def made(files: NodeFiles, system: SystemPrograms) -> Node:
    return Node(files.data, PROGRAMS, system, never_launch)


def test_a_node_prefers_the_addresses_it_had(files: NodeFiles, system: SystemPrograms) -> None:
    files.slot.write_text("17")
    assert Node(files.data, PROGRAMS, system, never_launch).network.slot == 17


def test_the_first_addresses_follow_from_the_directory(made: Node, files: NodeFiles) -> None:
    assert made.network.slot == int(files.identity, 16) % 256


def test_a_damaged_slot_is_chosen_anew(files: NodeFiles, system: SystemPrograms) -> None:
    files.slot.write_text("seventeen")
    assert Node(files.data, PROGRAMS, system, never_launch).network.slot == int(files.identity, 16) % 256


def test_the_api_server_is_given_a_certificate_for_the_kubelet(made: Node, files: NodeFiles) -> None:
    ensure_pki(Pki(files.data.pki))
    flags = made.api_server_flags()
    assert "--kubelet-preferred-address-types=InternalIP" in flags
    assert f"--kubelet-client-certificate={files.pki}/apiserver.crt" in flags
    assert (files.pki / "apiserver.key").stat().st_mode & 0o777 == 0o600
    assert files.pki.stat().st_mode & 0o777 == 0o700


def test_programs_keep_the_directories_they_need(made: Node, files: NodeFiles) -> None:
    assert {files.data.root, Path("/usr/lib/cni"), Path("/usr/bin"), Path("/")} <= made._kept_directories()


@pytest.mark.parametrize(
    ("ready", "taints", "takes_pods"),
    [("True", [], True), ("Unknown", [], False), ("True", [{"key": "node.kubernetes.io/not-ready"}], False)],
)
def test_a_node_takes_pods_when_it_is_ready_and_nothing_keeps_them_away(
    ready: str, taints: list[KubeObject], takes_pods: bool
) -> None:
    conditions = [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}]
    found = {"spec": {"taints": taints}, "status": {"conditions": conditions}}
    assert node._takes_pods(FakeServer(200, found)) is takes_pods


@pytest.mark.parametrize("status", [0, 404, 503])
def test_a_node_that_is_not_known_takes_no_pods(status: int) -> None:
    assert node._takes_pods(FakeServer(status)) is False


@pytest.mark.parametrize("status", [http.HTTPStatus.OK, http.HTTPStatus.NOT_FOUND])
def test_what_an_earlier_kubelet_reported_is_taken_back(status: int) -> None:
    server = FakeServer(status)
    node._forget_readiness(server)
    (body,) = server.bodies
    assert body is not None
    assert body["status"]["conditions"][0]["status"] == "Unknown"


def test_a_status_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(StartError, match="the node's status cannot be written"):
        node._forget_readiness(FakeServer(403))
