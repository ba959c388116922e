"""400 connections that say nothing, to an operator with few file descriptors: its runs have enough left."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from reconcile_devcluster.cluster import Cluster
from tests.support.operator_process import Kube, OperatorProcess, eventually, http_get, operator, write_foo_watches
from tools.testing.operator import PROGRAM

FILES = 256
SILENT = 100
"""Connections to each of the four ports."""
TASKS = "- name: Say\n  ansible.builtin.command: echo all is well\n  changed_when: false\n"
LISTENING = ("health probes listening", "metrics endpoint listening", "user metrics endpoint listening")
LIMITED = ["/bin/sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh", *PROGRAM]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


@contextmanager
def silent(ports: list[int]) -> Iterator[None]:
    with ExitStack() as opened:
        for port in ports:
            for _ in range(SILENT):
                opened.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        yield


def files_of(running: OperatorProcess) -> int:
    return len(list(Path(f"/proc/{running.process.pid}/fd").iterdir()))


@pytest.mark.exhaustive
@pytest.mark.timeout(180)
def test_400_silent_connections_fail_neither_runs_nor_probes(foo_cluster: Cluster, tmp_path: Path) -> None:
    kube, namespace = Kube(foo_cluster.api), "silent-peers"
    kube.create_namespace(namespace)
    proxy = free_port()
    watches = write_foo_watches(tmp_path, TASKS)
    flags = ["--proxy-port", str(proxy)]
    with operator(
        foo_cluster.kubeconfig, watches, flags=flags, program=LIMITED, env={"WATCH_NAMESPACE": namespace}
    ) as running:
        addresses = [str(running.wait_for_message(message)["address"]) for message in LISTENING]
        ports = [int(address.rpartition(":")[2]) for address in addresses]
        kube.create_foo(namespace, "before", "nobody")
        running.wait_for_message("reconciled", name="before")
        with silent([*ports, proxy]):
            kube.create_foo(namespace, "during", "nobody")
            running.wait_for_message("reconciled", name="during")
            assert files_of(running) < FILES * 3 / 4
            assert http_get(f"http://{addresses[0]}/healthz")[0] == 200
            assert running.messages("reconcile failed") == []
            refused = running.messages("peers were refused")
            assert len(refused) == len({(line["server"], line["cause"]) for line in refused})
        eventually(lambda: files_of(running) < FILES / 2, "the connections are gone")
