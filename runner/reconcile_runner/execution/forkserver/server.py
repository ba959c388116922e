"""The fork server: sends each client's request to the zygote of its environment.

It has the listening socket as stdin and reports to the engine by a JSON object a line on stdout (``wire.ServerEvent``).
It is small, has one thread and never loads Ansible. It starts a zygote when a request finds none for its environment.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn, TypeAlias

from reconcile_runner.execution import processes, rundeadline, tempdir
from reconcile_runner.execution.forkserver import wire
from reconcile_runner.execution.forkserver.configuration import PER_RUN, FileStates, state_of
from reconcile_runner.execution.forkserver.wire import ServerEvent
from reconcile_runner.execution.processes import ChildWatch

Key: TypeAlias = frozenset[tuple[bytes, bytes]]
"""An environment without the variables that differ from run to run."""

_MAX_SILENT_BEATS: Final = 3
"""A zygote that gives no sign of life for so many beats hangs. Beats are those of this process: while it is stopped
itself, none is missed."""

_RETRY_PERIOD: Final = 60.0
"""Seconds from the start of a zygote that was killed while it loaded Ansible to the next attempt."""

_MAX_ZYGOTES: Final = 6
_REQUEST_TIMEOUT: Final = 5.0
"""Seconds within which a client must have sent its whole request."""

_ROWS_AND_COLUMNS = struct.pack("HHHH", 24, 80, 0, 0)
"""The size of the terminal that ansible-runner gives a run (ptyprocess's default)."""

_BOOTSTRAP: Final = """
import sys
if not sys.flags.safe_path:
    del sys.path[0]
path = list(sys.path)
sys.path.insert(0, sys.argv.pop(1))
from reconcile_runner.execution.forkserver import zygote
sys.path[:] = path
zygote.main(*map(int, sys.argv[1:5]), sys.argv[5], int(sys.argv[6]), *sys.argv[7:])
"""


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request that waits for Ansible to be loaded, until ``refuse_at`` of the monotonic clock."""

    request: wire.PlayRequest
    descriptors: list[int]
    refuse_at: float


@dataclass(eq=False, slots=True)
class ZygoteHandle:
    """A zygote as the server sees it.

    - ``unusable``: why no run can be forked from it, empty if one can
    - ``files``: the states of the files that it depends on
    - ``is_replacement``: whether it takes the place of one that died or hung
    - ``was_killed``: whether it was killed while it loaded Ansible, so that the next one may succeed
    - ``pending``: the requests that came before it was ready
    - ``started``, ``last_used``: seconds of the monotonic clock
    - ``silent_beats``: how many beats have passed without a sign of life
    - ``has_answered``: whether it has answered the last question
    - ``cpu_time``: how long it had computed at the last beat
    """

    process: subprocess.Popen[bytes]
    socket: socket.socket
    ready: bool = False
    unusable: str = ""
    files: FileStates = field(default_factory=dict)
    is_replacement: bool = False
    was_killed: bool = False
    pending: list[PendingRequest] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    last_used: float = field(default_factory=time.monotonic)
    silent_beats: int = 0
    has_answered: bool = True
    cpu_time: int | None = None

    def is_stale(self) -> bool:
        """Return whether a file that it depends on has changed, or it is time for another attempt."""
        if self.was_killed:
            return time.monotonic() - self.started >= _RETRY_PERIOD
        return any(state_of(path) != tuple(state) for path, state in self.files.items())


class Server:
    """Serves the clients that connect to ``listener``.

    ``home`` is the engine's private directory. ``sources`` are the roles and playbooks whose modules zygotes prepare.
    ``deadline`` is the descriptor of that of all runs, or ``rundeadline.NONE``.
    """

    def __init__(
        self, listener: socket.socket, home: Path, sources: tuple[str, ...], deadline: int, patience: wire.Patience
    ) -> None:
        self._deadline = deadline
        self._patience = patience
        self._next_beat = time.monotonic() + patience.beat
        self._lost: deque[Key] = deque(maxlen=_MAX_ZYGOTES)
        self._listener = listener
        self._home = home
        self._sources = sources
        self._zygotes: dict[Key, ZygoteHandle] = {}
        self._retired: list[ZygoteHandle] = []
        self._selector = selectors.DefaultSelector()
        self._children = ChildWatch()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._children, selectors.EVENT_READ, self._reap)

    def serve(self) -> None:
        """Serve until this process is ended."""
        report(ServerEvent.SERVING, pid=os.getpid())
        while True:
            for key, _ in self._selector.select(self._seconds_to_wait()):
                key.data()
            self._refuse_who_waited()
            if time.monotonic() >= self._next_beat:
                self._next_beat = time.monotonic() + self._patience.beat
                self._beat()

    def _seconds_to_wait(self) -> float:
        waiting = [each.refuse_at for zygote in self._zygotes.values() for each in zygote.pending]
        return max(0.0, min([self._next_beat, *waiting]) - time.monotonic())

    def _refuse_who_waited(self) -> None:
        """Send on the ordinary way who has waited for Ansible to be loaded for long enough."""
        now = time.monotonic()
        for zygote in self._zygotes.values():
            overdue = [each for each in zygote.pending if each.refuse_at <= now]
            zygote.pending = [each for each in zygote.pending if each.refuse_at > now]
            for each in overdue:
                _refuse(each.descriptors)

    def _beat(self) -> None:
        """Give a sign of life, and replace zygotes that give none."""
        report(ServerEvent.ALIVE)
        for zygote in [*self._zygotes.values(), *self._retired]:
            if zygote.unusable or zygote.process.returncode is not None:
                continue
            zygote.silent_beats = 0 if self._gives_sign_of_life(zygote) else zygote.silent_beats + 1
            if zygote.silent_beats >= _MAX_SILENT_BEATS:
                self._kill(zygote)

    def _gives_sign_of_life(self, zygote: ZygoteHandle) -> bool:
        """Return whether a zygote has given a sign of life since the last beat.

        One that loads Ansible computes, one that is ready answers, and one that is retired has a run to wait for.
        """
        if zygote in self._retired:
            return bool(processes.living_descendants(zygote.process.pid))
        if not zygote.ready:
            before, zygote.cpu_time = zygote.cpu_time, processes.cpu_time(zygote.process.pid)
            return before != zygote.cpu_time
        has_answered = zygote.has_answered
        if has_answered:
            zygote.has_answered = False
            with contextlib.suppress(OSError):  # it has died, or reads nothing, which is no answer
                wire.ping(zygote.socket)
        return has_answered

    def _kill(self, zygote: ZygoteHandle) -> None:
        """Replace a zygote that hangs. The kernel tells its supervisors, which end their runs."""
        report(ServerEvent.ZYGOTE_HUNG, zygote=zygote.process.pid)
        self._forget_lost(zygote)
        if zygote not in self._retired:
            self._retired.append(zygote)
        zygote.process.kill()

    def _forget_lost(self, zygote: ZygoteHandle) -> None:
        """Have the next request start another zygote, for which no run waits."""
        for key in [key for key, each in self._zygotes.items() if each is zygote]:
            del self._zygotes[key]
            self._lost.append(key)

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(_REQUEST_TIMEOUT)
            try:
                received = wire.receive(connection)
            except (OSError, ValueError):
                return
            if received is None or received is wire.PING:
                return
            connection.setblocking(True)
            request, terminal = received
            self._hand_over(request, [os.dup(connection.fileno()), *terminal])

    def _hand_over(self, request: wire.PlayRequest, descriptors: list[int]) -> None:
        zygote = self._zygote_for(request)
        zygote.last_used = time.monotonic()
        if zygote.unusable or (zygote.is_replacement and not zygote.ready):
            _refuse(descriptors)
        elif not zygote.ready:
            zygote.pending.append(PendingRequest(request, descriptors, time.monotonic() + self._patience.priming))
        else:
            self._send(zygote, request, descriptors)
            _close(descriptors)

    def _send(self, zygote: ZygoteHandle, request: wire.PlayRequest, descriptors: list[int]) -> None:
        """Send a request to a zygote. One that does not take it hangs.

        Where it dies with the request, the client sees its connection closed and asks again.
        """
        try:
            wire.send(zygote.socket, request, descriptors)
        except TimeoutError:
            self._kill(zygote)
        except OSError:
            return

    def _zygote_for(self, request: wire.PlayRequest) -> ZygoteHandle:
        key = frozenset((name, value) for name, value in request.environment.items() if name not in PER_RUN)
        zygote = self._zygotes.get(key)
        if zygote and (zygote.ready or zygote.unusable) and zygote.is_stale():
            report(ServerEvent.ZYGOTE_STALE, zygote=zygote.process.pid)
            self._retire(key)
            zygote = None
        if zygote is None:
            while len(self._zygotes) >= _MAX_ZYGOTES:
                self._retire(min(self._zygotes, key=lambda each: self._zygotes[each].last_used))
            zygote = self._zygotes[key] = self._start_zygote(dict(key))
            zygote.is_replacement = key in self._lost
            if zygote.is_replacement:
                self._lost.remove(key)
        return zygote

    def _start_zygote(self, environment: dict[bytes, bytes]) -> ZygoteHandle:
        ours, theirs = socket.socketpair()
        terminal, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, _ROWS_AND_COLUMNS)
        errors = os.dup(2)
        passed = (theirs.fileno(), terminal, errors, *rundeadline.descriptors(self._deadline))
        started = subprocess.Popen(
            [
                *(sys.executable, "-c", _BOOTSTRAP, str(self._home / "lib")),
                *map(str, (theirs.fileno(), terminal, errors, self._deadline)),
                *(str(self._home), str(os.getpid()), *self._sources),
            ],
            cwd=self._home / "empty",
            env=environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            pass_fds=passed,
            start_new_session=True,
        )
        for descriptor in (terminal, slave, errors):
            os.close(descriptor)
        theirs.close()
        ours.settimeout(_REQUEST_TIMEOUT)
        zygote = ZygoteHandle(started, ours)
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._on_message(zygote))
        return zygote

    def _on_message(self, zygote: ZygoteHandle) -> None:
        """Handle a zygote's message, that it is ready, unusable or alive, or its end."""
        try:
            line = _read_line(zygote.socket)
        except OSError:
            line = b""
        if not line:
            self._on_exit(zygote)
            return
        if line == wire.PONG:
            zygote.has_answered = True
            return
        answer = json.loads(line)
        zygote.files = answer["files"]
        zygote.unusable = answer["unusable"]
        zygote.ready = not zygote.unusable
        seconds = round(time.monotonic() - zygote.started, 3)
        if zygote.unusable:
            report(ServerEvent.ZYGOTE_UNUSABLE, reason=zygote.unusable)
        else:
            report(ServerEvent.ZYGOTE_READY, zygote=zygote.process.pid, seconds=seconds)
        pending, zygote.pending = zygote.pending, []
        for each in pending:
            self._hand_over(each.request, each.descriptors)

    def _on_exit(self, zygote: ZygoteHandle) -> None:
        self._selector.unregister(zygote.socket)
        zygote.socket.close()
        shutil.rmtree(self._home / f"payloads-{zygote.process.pid}", ignore_errors=True)
        if zygote in self._retired:
            self._retired.remove(zygote)
        elif zygote.ready:
            report(ServerEvent.ZYGOTE_EXITED, zygote=zygote.process.pid)
            self._forget_lost(zygote)
        elif not zygote.unusable:
            zygote.was_killed = _was_killed(zygote.process)
            zygote.unusable = f"its process {'was killed' if zygote.was_killed else 'ended'} while it loaded Ansible"
            report(ServerEvent.ZYGOTE_UNUSABLE, reason=zygote.unusable)
        _refuse_all(zygote)

    def _retire(self, key: Key) -> None:
        """Send a zygote no more requests: it ends when its last run has ended."""
        zygote = self._zygotes.pop(key)
        if zygote.was_killed:
            self._lost.append(key)
        _refuse_all(zygote)
        if zygote.socket.fileno() >= 0:
            self._retired.append(zygote)
            with contextlib.suppress(OSError):
                zygote.socket.shutdown(socket.SHUT_WR)

    def _reap(self) -> None:
        """Reap zygotes that ended, and end the processes that a killed zygote has left."""
        self._children.clear()
        zygotes = [*self._zygotes.values(), *self._retired]
        for zygote in zygotes:
            zygote.process.poll()
        if processes.end_orphans(frozenset(zygote.process.pid for zygote in zygotes)):
            for temporary in (self._home / "tmp").glob("*"):
                tempdir.empty(str(temporary))


def report(event: ServerEvent, **details: str | float) -> None:
    """Send an event to the engine; ``details`` become keys of its log line."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps({"event": event, **details}).encode() + b"\n")


def _read_line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            return b""
        line += part
    return line


def _was_killed(process: subprocess.Popen[bytes]) -> bool:
    """Return whether a signal has ended a process that has closed its socket."""
    try:
        return process.wait(_REQUEST_TIMEOUT) < 0
    except subprocess.TimeoutExpired:
        return False


def _refuse_all(zygote: ZygoteHandle) -> None:
    """Send on the ordinary way who waits for a zygote."""
    for each in zygote.pending:
        _refuse(each.descriptors)
    zygote.pending.clear()


def _refuse(descriptors: list[int]) -> None:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptors[0])) as client:
        client.sendall(wire.ORDINARY)
    _close(descriptors)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def main() -> None:
    """Serve on the socket that is stdin.

    Arguments: the engine's private directory, the pid of the parent, the descriptor of the deadline of all runs, the
    values of ``Patience``, and the roles and playbooks whose modules zygotes prepare.
    """
    home = Path(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda _number, _frame: _end(home))
    processes.die_with_parent(signal.SIGTERM, int(sys.argv[2]))
    processes.adopt_orphans()
    listener = socket.socket(fileno=os.dup(0))
    deadline, patience = int(sys.argv[3]), wire.Patience(*map(float, sys.argv[4:7]))
    rundeadline.keep(deadline)
    Server(listener, home, tuple(sys.argv[7:]), deadline, patience).serve()


def _end(home: Path) -> NoReturn:
    """End all descendants, remove the engine's directory and exit.

    The engine has stopped or died.
    """
    processes.kill_until_gone(lambda: processes.living_descendants(os.getpid()))
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    for temporary in (home / "tmp").glob("*"):
        tempdir.remove(str(temporary))
    shutil.rmtree(home, ignore_errors=True)
    os._exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
