"""`make run`: control plane, CRDs and operator in the foreground, and nothing left when it ends.

Called by `cli`. Stops in the order operator, API server, etcd on Ctrl-C, SIGTERM and SIGHUP, or as soon as one of them
ends by itself. When this process is killed, the kernel kills its programs (`process.spawn`).
"""

from __future__ import annotations

import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconcile_devcluster import crds, current
from reconcile_devcluster.binaries.finder import find_programs
from reconcile_devcluster.controlplane import foreground
from reconcile_devcluster.errors import StartError
from reconcile_devcluster.ports import LOOPBACK
from reconcile_devcluster.process import ProcessIdentity, die_with_parent, spawn, stop
from reconcile_devcluster.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from reconcile_devcluster.api import Api
    from reconcile_devcluster.cluster import Cluster, ClusterSpec

OPERATOR = "operator"

RUNNER = "reconcile_runner"
"""The package that runs an operator. `-P` keeps the working directory, which is the user's, off its path."""

OPERATOR_STOP_GRACE = 40.0
"""Seconds the operator gets after SIGTERM; it gives its runs 30 by itself."""

_NOTICE_INTERVAL = 10.0
"""Seconds between two notices that the operator is not ready yet."""

_POLL_INTERVAL = 0.2
"""Seconds between two questions whether the operator is ready."""


class Stopped(BaseException):
    """A signal asked us to stop. Like KeyboardInterrupt, it is nothing to be handled on the way."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What `run` is to start.

    Attributes:
        cluster: The control plane; None for the user's current cluster, which is asked for.
        watches_file: The operator's watches.
        crds: File or directory of definitions to install first.
        dies_with_parent: Whether we end when the process that started us does.
        operator: Program and first arguments that start the operator.

    """

    cluster: ClusterSpec | None
    watches_file: Path
    crds: Path
    dies_with_parent: bool = False
    operator: tuple[str, ...] = (sys.executable, "-P", "-m", RUNNER, "run")


def run(spec: RunSpec) -> None:
    """Start everything, say `ready`, and stay until asked to stop.

    Raises:
        DevclusterError: Something could not be started, or ended by itself.

    """
    if spec.dies_with_parent:
        die_with_parent(signal.SIGTERM)
    with _stoppable(), ExitStack() as stack:
        cluster: Cluster | None = None
        if spec.cluster is None:
            api: Api = current.choose()
            environment = current.environment()
        else:
            cluster = stack.enter_context(foreground(spec.cluster, find_programs))
            api = cluster.api
            environment = _environment_for(cluster)
        for name in crds.install(api, spec.crds):
            say(f"installed {name}")
        if cluster is not None:
            print(f"export KUBECONFIG={cluster.kubeconfig}", flush=True)
        operator = stack.enter_context(_operator(spec, environment))
        _watch_over(operator, cluster)
    say("stopped")


@dataclass(frozen=True, slots=True)
class _Operator:
    """The operator's process.

    Attributes:
        process: What we started.
        probe_port: Port of its health probes.

    """

    process: subprocess.Popen[bytes]
    probe_port: int

    def is_ready(self) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, self.probe_port, timeout=2)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


@contextmanager
def _stoppable() -> Iterator[None]:
    """Turn the first signal into `Stopped`, which ends the block; further ones must not disturb the cleaning up."""

    def stop_once(number: int, _frame: FrameType | None) -> None:
        for one in _SIGNALS:
            signal.signal(one, signal.SIG_IGN)
        say(f"{signal.Signals(number).name}: stopping")
        raise Stopped

    before = {one: signal.signal(one, stop_once) for one in _SIGNALS}
    try:
        yield
    except Stopped:
        pass
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _operator(spec: RunSpec, environment: Mapping[str, str]) -> Iterator[_Operator]:
    probe_port, metrics_port = _free_ports()
    command = [
        *spec.operator,
        f"--watches-file={spec.watches_file}",
        f"--health-probe-bind-address={LOOPBACK}:{probe_port}",
        f"--metrics-bind-address={LOOPBACK}:{metrics_port}",
    ]
    if spec.cluster is not None:
        command.append(f"--kubeconfig={environment['KUBECONFIG']}")
    process = spawn(command, cwd=Path.cwd(), log=None, env=environment, dies_with_starter=True)
    try:
        yield _Operator(process, probe_port)
    finally:
        if process.poll() is None:
            say("stopping the operator")
            if not stop(ProcessIdentity.of(process.pid), OPERATOR_STOP_GRACE):
                say(f"the operator did not end within {OPERATOR_STOP_GRACE:.0f} s and was killed")
        process.wait()


def _watch_over(operator: _Operator, cluster: Cluster | None) -> None:
    """Say `ready` as soon as the operator is; return never, except by `Stopped`.

    Raises:
        StartError: The operator or a program of the control plane has ended by itself.

    """
    poller = select.poll()
    descriptors = [os.pidfd_open(operator.process.pid)]
    if cluster is not None:
        descriptors += [os.pidfd_open(identity.pid) for identity in cluster.state.processes.values()]
    for descriptor in descriptors:
        poller.register(descriptor, select.POLLIN)
    try:
        _wait_until_ready(operator, poller)
        poller.poll()
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    ended = cluster.failed_program() if cluster is not None else None
    if ended is not None and cluster is not None:
        raise StartError(f"{ended} has ended by itself; its log: {cluster.log_of(ended)}")
    raise StartError(f"the operator has ended by itself with exit code {operator.process.wait()}")


def _wait_until_ready(operator: _Operator, poller: select.poll) -> None:
    """Wait until the operator is ready, or one of the processes has ended."""
    started = noticed = time.monotonic()
    while not poller.poll(_POLL_INTERVAL * 1000):
        if operator.is_ready():
            print("ready", flush=True)
            return
        if time.monotonic() - noticed > _NOTICE_INTERVAL:
            noticed = time.monotonic()
            say(f"the operator is not ready yet ({noticed - started:.0f} s)")


def _environment_for(cluster: Cluster) -> dict[str, str]:
    """Our environment with this cluster's kubeconfig in place of whatever would lead elsewhere."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("K8S_AUTH_")}
    return kept | {"KUBECONFIG": str(cluster.kubeconfig)}


def _free_ports() -> tuple[int, int]:
    """Two ports nobody uses at the moment; both are held until both are known, so that they differ."""
    with socket.create_server((LOOPBACK, 0)) as first, socket.create_server((LOOPBACK, 0)) as second:
        return int(first.getsockname()[1]), int(second.getsockname()[1])
