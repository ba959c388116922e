"""The supervisor of one run: forks the play, tells the client how it ended, and sees to it that nothing is left.

``zygote`` forks one for each request. It adopts whatever loses its parent below it, so that its descendants are all
there is of the run. When the client's end of the connection closes, or the zygote ends, it kills them.
"""

from __future__ import annotations

import contextlib
import glob
import os
import select
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

from runner.execution.forkserver import process, wire
from runner.execution.processtree import kill_until_gone, living_descendants

REFUSED = 121
"""The exit code of a play that cannot be played here. It has done nothing; ``ansible-playbook`` has no such code."""

_RANDOM_SUFFIX = "[a-z0-9_]" * 8


class Supervisor:
    """One run. ``scratch`` is where Ansible makes its directory of temporary files, named after the play's pid."""

    def __init__(self, request: wire.Request, connection: socket.socket, terminal: list[int], home: Path) -> None:
        self._request = request
        self._connection = connection
        self._terminal = terminal
        self._pid_file = wire.pid_file(home, request.job) if request.job else None
        self._play = 0

    def supervise(self, play: Callable[[wire.Request, bool], NoReturn], scratch: Path) -> None:
        """Run ``play`` in a child and wait for the end of all that it started."""
        signal.signal(signal.SIGTERM, self._on_sigterm)
        process.adopt_orphans()
        if self._pid_file:
            self._pid_file.write_text(str(os.getpid()), encoding="ascii")
        try:
            self._connection.sendall(wire.START)
            word = self._connection.recv(1)
            if word:
                self._fork(play, has_terminal=word == wire.HAS_TERMINAL)
                self._wait()
        except OSError:
            pass
        finally:
            self._end(scratch)

    def _fork(self, play: Callable[[wire.Request, bool], NoReturn], *, has_terminal: bool) -> None:
        self._play = os.fork()
        if self._play == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.setsid()
            for number, descriptor in enumerate(self._terminal):
                os.dup2(descriptor, number)
            process.close_all_but(frozenset())
            play(self._request, has_terminal)
        for descriptor in self._terminal:
            os.close(descriptor)

    def _wait(self) -> None:
        """Wait until the play has ended and say so, then until all that it left behind has; or kill all of it."""
        ended = os.pidfd_open(self._play)
        sources: list[int | socket.socket] = [self._connection, ended]
        ready, _, _ = select.select(sources, [], [])
        os.close(ended)
        if ended not in ready:
            self._kill_all()
            return
        _, status = os.waitpid(self._play, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == REFUSED:
            answer = wire.ORDINARY
        elif code >= 0:
            answer = wire.EXITED + bytes([code])
        else:
            answer = wire.KILLED + bytes([-code])
        with contextlib.suppress(OSError):
            self._connection.sendall(answer)
        self._connection.close()
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)

    def _kill_all(self) -> None:
        kill_until_gone(lambda: living_descendants(os.getpid()))

    def _on_sigterm(self, _number: int, _frame: FrameType | None) -> NoReturn:
        self._kill_all()
        if self._pid_file:
            self._pid_file.unlink(missing_ok=True)
        os._exit(128 + signal.SIGTERM)

    def _end(self, scratch: Path) -> None:
        self._kill_all()
        if self._play:
            for left in glob.glob(f"{scratch}/ansible-local-{self._play}{_RANDOM_SUFFIX}"):  # noqa: PTH207 - a class
                shutil.rmtree(left, ignore_errors=True)
        if self._pid_file:
            self._pid_file.unlink(missing_ok=True)
