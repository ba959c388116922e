"""A zygote: a process with Ansible loaded that forks a supervisor for each run.

It is made for one environment. It gets its requests from the server over a socket and ends when the server has shut
that socket for writing and the last run has ended. It runs nothing itself, so it has one thread and no state of any
run.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

from reconcile_runner.execution import processes, rundeadline
from reconcile_runner.execution.forkserver import play, priming, wire
from reconcile_runner.execution.forkserver.modules.host import ModuleHost
from reconcile_runner.execution.forkserver.supervisor import Supervisor
from reconcile_runner.execution.processes import ChildWatch


class Zygote:
    """Forks supervisors for the requests of the server.

    ``home`` is the engine's private directory. ``deadline`` is the descriptor of that of all runs, or
    ``rundeadline.NONE``.
    """

    def __init__(self, requests: socket.socket, home: Path, primed: priming.Primed, deadline: int) -> None:
        self._deadline = deadline
        self._requests: socket.socket | None = requests
        self._home = home
        self._primed = primed
        self._supervisors: set[int] = set()
        self._children = ChildWatch()

    def serve(self) -> None:
        """Serve until the server sends no more requests and the last run has ended."""
        while self._requests or self._supervisors:
            sources: list[ChildWatch | socket.socket] = [self._children]
            if self._requests:
                sources.append(self._requests)
            ready, _, _ = select.select(sources, [], [])
            if self._children in ready:
                self._children.clear()
                self._reap()
                self._update()
            if self._requests and self._requests in ready:
                self._take(self._requests)

    def _take(self, requests: socket.socket) -> None:
        try:
            received = wire.receive(requests)
        except (OSError, ValueError):
            received = None
        if received is None:
            self._requests = None
            return
        if received is wire.PING:
            with contextlib.suppress(OSError):  # the server has ended, and so does this process
                requests.sendall(wire.PONG)
            return
        request, descriptors = received
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become_supervisor(request, descriptors, parent)
        self._supervisors.add(pid)
        for descriptor in descriptors:
            os.close(descriptor)

    def _become_supervisor(self, request: wire.PlayRequest, descriptors: list[int], parent: int) -> NoReturn:
        try:
            processes.stop_child_watch()
            processes.die_with_parent(signal.SIGTERM, parent)
            processes.close_all_but(frozenset({*descriptors, self._deadline}))
            connection, *terminal = descriptors
            supervisor = Supervisor(request, socket.socket(fileno=connection), terminal, self._home, self._deadline)
            supervisor.supervise(self._play, self._primed)
        finally:
            os._exit(0)

    def _update(self) -> None:
        """Prepare what runs have published.

        It is exempted from garbage collection, which would copy its pages into each fork.
        """
        if self._primed.update():
            gc.freeze()

    def _play(self, request: wire.PlayRequest, host: ModuleHost) -> NoReturn:
        play.play(request, self._primed, host)

    def _reap(self) -> None:
        """Reap ended supervisors, and end the processes that a killed one has left."""
        while self._supervisors:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            self._supervisors.discard(pid)
        processes.end_orphans(frozenset(self._supervisors))


def main(descriptor: int, terminal: int, errors: int, deadline: int, home: str, parent: int, *sources: str) -> None:
    """Load Ansible, report to the server, and serve its requests.

    The report is a line of JSON over the socket ``descriptor``. The standard descriptors are the slave of ``terminal``;
    ``errors`` is to be stderr once Ansible is loaded. ``deadline`` is that of all runs. ``parent`` is a pid.
    ``sources`` are the roles and playbooks whose modules are prepared.
    """
    processes.die_with_parent(signal.SIGKILL, parent)
    processes.adopt_orphans()
    rundeadline.keep(deadline)
    requests = socket.socket(fileno=descriptor)
    try:
        payloads = Path(home) / f"payloads-{os.getpid()}"
        primed = priming.prime(lambda: _read_available(terminal), payloads, map(Path, sources))
        unusable = (
            ""
            if processes.count_threads() == 1
            else f"{processes.count_threads()} threads run after Ansible was loaded"
        )
    except (Exception, SystemExit) as error:  # noqa: BLE001 - any of Ansible's, a plugin's or a library's is reported to the server
        primed, unusable = None, f"{type(error).__name__}: {error}"
    _leave_terminal(terminal, errors)
    requests.sendall(json.dumps({"unusable": unusable, "files": primed.files if primed else {}}).encode() + b"\n")
    if unusable or primed is None:
        sys.exit(1)
    gc.collect()
    gc.freeze()
    gc.disable()
    Zygote(requests, Path(home), primed, deadline).serve()


def _read_available(terminal: int) -> bytes:
    sys.stdout.flush()
    sys.stderr.flush()
    found = b""
    while select.select([terminal], [], [], 0)[0]:
        found += os.read(terminal, 65536)
    return found.replace(b"\r\n", b"\n")


def _leave_terminal(terminal: int, errors: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.dup2(errors, 2)
    for descriptor in (nothing, terminal, errors):
        os.close(descriptor)
