"""The supervisor of one run: forks the play and its modules, tells the client how it ended, and leaves nothing behind.

``zygote`` forks one for each request. It adopts whatever loses its parent below it, so that its descendants are all
there is of the run. When the client's end of the connection closes, or the zygote ends, it kills them.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from reconcile_runner.execution import processes, tempdir
from reconcile_runner.execution.forkserver import wire
from reconcile_runner.execution.forkserver.modules.child import Stock
from reconcile_runner.execution.forkserver.modules.host import ModuleHost
from reconcile_runner.execution.forkserver.priming import Primed
from reconcile_runner.execution.processes import ChildWatch

REFUSED = 121
"""The exit code of a play that cannot be played here. It has done nothing; ``ansible-playbook`` has no such code."""


class Supervisor:
    """One run."""

    def __init__(self, request: wire.Request, connection: socket.socket, terminal: list[int], home: Path) -> None:
        self._request = request
        self._connection = connection
        self._terminal = terminal
        self._pid_file = wire.pid_file(home, request.job) if request.job else None
        self._temporary = os.fsdecode(request.environment.get(tempdir.VARIABLE.encode(), b""))
        self._holding = contextlib.ExitStack()
        self._play = 0

    def supervise(self, play: Callable[[wire.Request, ModuleHost, bool], NoReturn], primed: Primed) -> None:
        """Run ``play`` in a child and wait for the end of all that it started."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        processes.adopt_orphans()
        if self._pid_file:
            self._pid_file.write_text(str(os.getpid()), encoding="ascii")
        self._holding.enter_context(tempdir.held(self._temporary))
        try:
            self._supervise(play, primed)
        finally:
            self._clean_up()

    def _supervise(self, play: Callable[[wire.Request, ModuleHost, bool], NoReturn], primed: Primed) -> None:
        try:
            self._connection.sendall(wire.START)
            word = self._connection.recv(1)
            if word:
                host = ModuleHost()
                self._fork(play, host, has_terminal=word == wire.HAS_TERMINAL)
                if self._serve(host, primed.stock):
                    self._wait_for_the_rest(host)
                else:
                    self._kill_all()
        except OSError:
            self._kill_all()

    def _fork(
        self, play: Callable[[wire.Request, ModuleHost, bool], NoReturn], host: ModuleHost, *, has_terminal: bool
    ) -> None:
        self._play = os.fork()
        if self._play == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.setsid()
            for number, descriptor in enumerate(self._terminal):
                os.dup2(descriptor, number)
            processes.close_all_but(frozenset({host.keep_asking_end()}))
            play(self._request, host, has_terminal)
        host.keep_answering_end()
        for descriptor in self._terminal:
            os.close(descriptor)

    def _serve(self, host: ModuleHost, stock: Stock) -> bool:
        """Start modules until the play has ended, and tell how; False where the client has ended before."""
        children = ChildWatch()
        code = self._bury(host)
        while code is None:
            sources: list[ChildWatch | socket.socket] = [self._connection, host.requests, children]
            ready, _, _ = select.select(sources, [], [])
            if self._connection in ready:
                return False
            if host.requests in ready:
                host.answer(stock)
            if children in ready:
                children.clear()
                code = self._bury(host)
        self._tell(code)
        return True

    def _bury(self, host: ModuleHost) -> int | None:
        """Reap what has ended; return the play's exit code, None where it goes on."""
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return None
            host.reap(pid, status)
            if pid == self._play:
                return os.waitstatus_to_exitcode(status)

    def _tell(self, code: int) -> None:
        if code == REFUSED:
            answer = wire.ORDINARY
        elif code >= 0:
            answer = wire.EXITED + bytes([code])
        else:
            answer = wire.KILLED + bytes([-code])
        with contextlib.suppress(OSError):
            self._connection.sendall(answer)
        self._connection.close()

    def _wait_for_the_rest(self, host: ModuleHost) -> None:
        """Wait for what outlives the play, as asynchronous tasks do."""
        with contextlib.suppress(ChildProcessError):
            while True:
                host.reap(*os.waitpid(-1, 0))

    def _kill_all(self) -> None:
        processes.kill_until_gone(lambda: processes.living_descendants(os.getpid()))

    def _on_sigterm(self, _number: int, _frame: FrameType | None) -> NoReturn:
        self._kill_all()
        self._clean_up()
        os._exit(128 + signal.SIGTERM)

    def _clean_up(self) -> None:
        self._holding.close()
        tempdir.empty(self._temporary)
        if self._pid_file:
            self._pid_file.unlink(missing_ok=True)
