"""The fork server: takes requests from clients and hands each to the zygote of its environment.

``engine`` starts it with the listening socket as stdin, and reads what it has to say, a JSON object a line, from its
stdout. It is small, has one thread, and loads no Ansible; it starts a zygote when a request finds none that fits.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeAlias

from reconcile_runner.execution import processes, tempdir
from reconcile_runner.execution.forkserver import wire
from reconcile_runner.execution.forkserver.configuration import PER_RUN, FileStates, state_of
from reconcile_runner.execution.processes import ChildWatch

Key: TypeAlias = frozenset[tuple[bytes, bytes]]
Waiting: TypeAlias = tuple[wire.Request, list[int]]

_MOST_ZYGOTES = 6
_PATIENCE = 5.0
"""Seconds for a client to say all of its request, which it has at hand."""

_ROWS_AND_COLUMNS = struct.pack("HHHH", 24, 80, 0, 0)
"""The size of the terminal that ansible-runner gives a run (ptyprocess's default)."""

_BOOTSTRAP = """
import sys
sys.path[:] = sys.path[1:]
path = list(sys.path)
sys.path.insert(0, sys.argv.pop(1))
from reconcile_runner.execution.forkserver import zygote
sys.path[:] = path
zygote.main(*map(int, sys.argv[1:4]), sys.argv[4], int(sys.argv[5]), *sys.argv[6:])
"""


@dataclass(eq=False, slots=True)
class Zygote:
    """The server's end of a zygote. ``unfit`` says why it cannot be one; ``waiting`` are requests until it is ready."""

    process: subprocess.Popen[bytes]
    socket: socket.socket
    ready: bool = False
    unfit: str = ""
    files: FileStates = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)
    last_used: float = field(default_factory=time.monotonic)

    def is_stale(self) -> bool:
        """Tell whether a file that it depends on has changed."""
        return any(state_of(path) != tuple(state) for path, state in self.files.items())


class Server:
    """Serves the clients that connect to ``listener``; ``home`` is the engine's private directory.

    ``sources``: the roles and playbooks that zygotes look at ahead.
    """

    def __init__(self, listener: socket.socket, home: Path, sources: tuple[str, ...]) -> None:
        self._listener = listener
        self._home = home
        self._sources = sources
        self._zygotes: dict[Key, Zygote] = {}
        self._retired: list[Zygote] = []
        self._selector = selectors.DefaultSelector()
        self._children = ChildWatch()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._children, selectors.EVENT_READ, self._bury)

    def serve(self) -> None:
        """Serve forever: the end of the engine is this process's end."""
        say("serving", pid=os.getpid())
        while True:
            for key, _ in self._selector.select():
                key.data()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(_PATIENCE)
            try:
                received = wire.receive(connection)
            except (OSError, ValueError):
                return
            if received is None:
                return
            connection.setblocking(True)
            request, terminal = received
            self._hand_over(request, [os.dup(connection.fileno()), *terminal])

    def _hand_over(self, request: wire.Request, descriptors: list[int]) -> None:
        zygote = self._zygote_for(request)
        zygote.last_used = time.monotonic()
        if zygote.unfit:
            _refuse(descriptors)
        elif not zygote.ready:
            zygote.waiting.append((request, descriptors))
        else:
            with contextlib.suppress(OSError):  # it has died: the client sees its connection closed, and asks again
                wire.send(zygote.socket, request, descriptors)
            _close(descriptors)

    def _zygote_for(self, request: wire.Request) -> Zygote:
        key = frozenset((name, value) for name, value in request.environment.items() if name not in PER_RUN)
        zygote = self._zygotes.get(key)
        if zygote and (zygote.ready or zygote.unfit) and zygote.is_stale():
            say("stale", zygote=zygote.process.pid)
            self._retire(key)
            zygote = None
        if zygote is None:
            while len(self._zygotes) >= _MOST_ZYGOTES:
                self._retire(min(self._zygotes, key=lambda each: self._zygotes[each].last_used))
            zygote = self._zygotes[key] = self._start_zygote(dict(key))
        return zygote

    def _start_zygote(self, environment: dict[bytes, bytes]) -> Zygote:
        ours, theirs = socket.socketpair()
        terminal, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, _ROWS_AND_COLUMNS)
        errors = os.dup(2)
        passed = (theirs.fileno(), terminal, errors)
        started = subprocess.Popen(
            [
                *(sys.executable, "-c", _BOOTSTRAP, str(self._home / "lib")),
                *map(str, passed),
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
        zygote = Zygote(started, ours)
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear(zygote))
        return zygote

    def _hear(self, zygote: Zygote) -> None:
        """Take what a zygote says once, that it is ready; or its end, which comes at any time."""
        try:
            line = _read_line(zygote.socket)
        except OSError:
            line = b""
        if not line:
            self._lose(zygote)
            return
        answer = json.loads(line)
        zygote.files = answer["files"]
        zygote.unfit = answer["unfit"]
        zygote.ready = not zygote.unfit
        seconds = round(time.monotonic() - zygote.begun, 3)
        if zygote.unfit:
            say("unfit", why=zygote.unfit)
        else:
            say("ready", zygote=zygote.process.pid, seconds=seconds)
        waiting, zygote.waiting = zygote.waiting, []
        for request, descriptors in waiting:
            self._hand_over(request, descriptors)

    def _lose(self, zygote: Zygote) -> None:
        self._selector.unregister(zygote.socket)
        zygote.socket.close()
        shutil.rmtree(self._home / f"payloads-{zygote.process.pid}", ignore_errors=True)
        if zygote in self._retired:
            self._retired.remove(zygote)
        elif zygote.ready:
            say("lost", zygote=zygote.process.pid)
            self._zygotes = {key: each for key, each in self._zygotes.items() if each is not zygote}
        elif not zygote.unfit:
            zygote.unfit = "it ended while Ansible was loaded"
            say("unfit", why=zygote.unfit)
        for _, descriptors in zygote.waiting:
            _refuse(descriptors)
        zygote.waiting.clear()

    def _retire(self, key: Key) -> None:
        """Let a zygote end when its last run has ended."""
        zygote = self._zygotes.pop(key)
        for _, descriptors in zygote.waiting:
            _refuse(descriptors)
        zygote.waiting.clear()
        if zygote.socket.fileno() >= 0:
            self._retired.append(zygote)
            with contextlib.suppress(OSError):
                zygote.socket.shutdown(socket.SHUT_WR)

    def _bury(self) -> None:
        """Reap zygotes, and end and reap what a zygote that was killed has left behind."""
        self._children.clear()
        zygotes = [*self._zygotes.values(), *self._retired]
        for zygote in zygotes:
            zygote.process.poll()
        if processes.end_orphans(frozenset(zygote.process.pid for zygote in zygotes)):
            for temporary in (self._home / "tmp").glob("*"):
                tempdir.empty(str(temporary))


def say(what: str, **details: object) -> None:
    """Tell the engine."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps({"what": what, **details}).encode() + b"\n")


def _read_line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        part = connection.recv(65536)
        if not part:
            return b""
        line += part
    return line


def _refuse(descriptors: list[int]) -> None:
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptors[0])) as client:
        client.sendall(wire.ORDINARY)
    _close(descriptors)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def main() -> None:
    """Serve on the socket that is stdin, in the directory that is the first argument, for the second as parent.

    Further arguments are the roles and playbooks that zygotes look at ahead.
    """
    home = Path(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda _number, _frame: _end(home))
    processes.die_with_parent(signal.SIGTERM, int(sys.argv[2]))
    processes.adopt_orphans()
    listener = socket.socket(fileno=os.dup(0))
    Server(listener, home, tuple(sys.argv[3:])).serve()


def _end(home: Path) -> NoReturn:
    """End with everything below: the engine wants it, or is dead and has left its directory behind."""
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
