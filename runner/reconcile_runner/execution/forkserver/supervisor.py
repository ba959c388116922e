"""The supervisor: parent of one run's processes.

It forks the play and its modules, and ends all of them. It adopts the orphans below it, so that its descendants are the
processes of the run. It kills them when the client closes its connection, when the zygote ends, and at the deadline of
all runs, where the operator has not moved that on. It tells the client how the play ended.
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

from reconcile_runner.execution import confinement, processes, tempdir
from reconcile_runner.execution.forkserver import wire
from reconcile_runner.execution.forkserver.modules.child import Stock
from reconcile_runner.execution.forkserver.modules.host import ModuleHost
from reconcile_runner.execution.forkserver.priming import Primed
from reconcile_runner.execution.processes import ChildWatch
from reconcile_runner.execution.rundeadline import RunDeadlineWatch

REFUSED = 121
"""Exit code of a play that cannot run in a fork and has done nothing. ``ansible-playbook`` has no such code."""


class Supervisor:
    """Runs one request and ends all its processes.

    ``terminal`` are the descriptors of the play's stdin to stderr. ``deadline`` is the descriptor of that of all runs,
    or ``rundeadline.NONE``.
    """

    def __init__(
        self, request: wire.PlayRequest, connection: socket.socket, terminal: list[int], home: Path, deadline: int
    ) -> None:
        self._deadline = RunDeadlineWatch(deadline, self._on_deadline)
        self._request = request
        self._connection = connection
        self._terminal = terminal
        self._pid_file = wire.pid_file(home, request.job) if request.job else None
        self._tempdir = os.fsdecode(request.environment.get(tempdir.VARIABLE.encode(), b""))
        self._hidden = confinement.kept(home)
        self._hold = contextlib.ExitStack()
        self._play = 0

    def supervise(self, play: Callable[[wire.PlayRequest, ModuleHost], NoReturn], primed: Primed) -> None:
        """Run ``play`` in a child and wait until every process that it started has ended."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        processes.adopt_orphans()
        if self._hidden is not None:
            confinement.confine(self._hidden)
        self._deadline.start()
        if self._pid_file:
            self._pid_file.write_text(str(os.getpid()), encoding="ascii")
        self._hold.enter_context(tempdir.held(self._tempdir))
        try:
            self._supervise(play, primed)
        finally:
            self._clean_up()

    def _supervise(self, play: Callable[[wire.PlayRequest, ModuleHost], NoReturn], primed: Primed) -> None:
        try:
            self._connection.sendall(wire.START)
            host = ModuleHost()
            self._fork(play, host)
            if self._serve_modules(host, primed.stock):
                self._wait_for_remaining(host)
            else:
                self._kill_all()
        except OSError:
            self._kill_all()

    def _fork(self, play: Callable[[wire.PlayRequest, ModuleHost], NoReturn], host: ModuleHost) -> None:
        self._play = os.fork()
        if self._play == 0:
            for ended_by in (signal.SIGTERM, signal.SIGALRM):
                signal.signal(ended_by, signal.SIG_DFL)
            os.setsid()
            for number, descriptor in enumerate(self._terminal):
                os.dup2(descriptor, number)
            processes.close_all_but(frozenset({host.keep_asking_end()}))
            play(self._request, host)
        host.keep_answering_end()
        for descriptor in self._terminal:
            os.close(descriptor)

    def _serve_modules(self, host: ModuleHost, stock: Stock) -> bool:
        """Fork modules until the play has ended, and tell the client how.

        False if the client ended before.
        """
        children = ChildWatch()
        code = self._reap(host)
        while code is None:
            sources: list[ChildWatch | socket.socket] = [self._connection, host.requests, children]
            ready, _, _ = select.select(sources, [], [])
            if self._connection in ready:
                return False
            if host.requests in ready:
                host.answer(stock)
            if children in ready:
                children.clear()
                code = self._reap(host)
        self._send_result(code)
        return True

    def _reap(self, host: ModuleHost) -> int | None:
        """Reap children that ended; return the play's exit code, None while it runs."""
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return None
            host.notify(pid, status)
            if pid == self._play:
                return os.waitstatus_to_exitcode(status)

    def _send_result(self, code: int) -> None:
        if code == REFUSED:
            answer = wire.ORDINARY
        elif code >= 0:
            answer = wire.EXITED + bytes([code])
        else:
            answer = wire.KILLED + bytes([-code])
        with contextlib.suppress(OSError):
            self._connection.sendall(answer)
        self._connection.close()

    def _wait_for_remaining(self, host: ModuleHost) -> None:
        """Wait for processes that outlive the play, as asynchronous tasks do."""
        with contextlib.suppress(ChildProcessError):
            while True:
                host.notify(*os.waitpid(-1, 0))

    def _kill_all(self) -> None:
        processes.kill_until_gone(lambda: processes.living_descendants(os.getpid()))

    def _on_sigterm(self, _number: int, _frame: FrameType | None) -> NoReturn:
        self._kill_all()
        self._clean_up()
        os._exit(128 + signal.SIGTERM)

    def _on_deadline(self) -> NoReturn:
        """End the run without an answer, so that its client says that it was lost."""
        self._kill_all()
        self._clean_up()
        os._exit(128 + signal.SIGALRM)

    def _clean_up(self) -> None:
        self._hold.close()
        tempdir.empty(self._tempdir)
        if self._pid_file:
            self._pid_file.unlink(missing_ok=True)
