"""The messages between the engine, the clients, the server and the zygotes.

A request is a frame (``execution.frames``) over a unix socket, with file descriptors attached to its header and a body
in ``marshal``'s format. Both ends belong to this user and run the same interpreter; the socket's directory is private.
"""

from __future__ import annotations

import enum
import marshal
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

from reconcile_runner.execution import frames
from reconcile_runner.execution.processes import JOB_VARIABLE

START: Final = b"S"
"""Answer: the run begins."""

EXITED: Final = b"E"
KILLED: Final = b"K"
"""Answers: the run ended. One byte follows: the exit code, or the number of the signal that ended it."""

ORDINARY: Final = b"X"
"""Answer: nothing was done, and the client is to run ``ansible-playbook`` itself."""

PONG: Final = b"\n"
"""The line by which a zygote answers a ``PING``. Its one other line, the first, is JSON."""

_MAX_DESCRIPTORS: Final = 8


class ServerEvent(StrEnum):
    """What the server reports to the engine, as ``event`` of a JSON object a line."""

    SERVING = "serving"
    ZYGOTE_READY = "zygote_ready"
    ZYGOTE_UNUSABLE = "zygote_unusable"
    ZYGOTE_STALE = "zygote_stale"
    ZYGOTE_EXITED = "zygote_exited"
    ZYGOTE_HUNG = "zygote_hung"
    ALIVE = "alive"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one process of the engine waits for another, in seconds.

    - ``beat``: between two signs of life of the server, and between two questions of the server to each zygote
    - ``priming``: how long a run waits for Ansible to be loaded at first
    - ``answer``: how long a run waits for its beginning, whatever keeps it. It then goes the ordinary way
    """

    beat: float = 10.0
    priming: float = 10.0
    answer: float = 15.0


@dataclass(frozen=True, slots=True)
class PlayRequest:
    """A play to be run, as ``ansible-playbook`` would have been started.

    ``body`` is the request as it came.
    """

    argv: tuple[str, ...]
    cwd: str
    umask: int
    environment: Mapping[bytes, bytes]
    body: bytes

    @property
    def job(self) -> str:
        """Return the job's ident, empty if there is none."""
        return self.environment.get(JOB_VARIABLE.encode(), b"").decode("utf-8", "surrogateescape")


class Ping(enum.Enum):
    """A frame without a body, by which the server asks a zygote whether it lives."""

    PING = enum.auto()


PING: Final = Ping.PING


def receive(connection: socket.socket) -> tuple[PlayRequest, list[int]] | Literal[Ping.PING] | None:
    """Return the next request and its descriptors, or ``PING``; None at the end of the stream.

    Raises ``OSError``, and ``ValueError`` if the stream ends inside a request.
    """
    header, descriptors, _, _ = socket.recv_fds(connection, frames.HEADER_BYTES, _MAX_DESCRIPTORS)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    if not header:
        return None
    header += _exactly(connection, frames.HEADER_BYTES - len(header))
    body = _exactly(connection, frames.body_length(header))
    if not body:
        return PING
    argv, cwd, umask, environment = marshal.loads(body)  # noqa: S302 - from a process of this user, see above
    return PlayRequest(tuple(argv), cwd, umask, environment, body), descriptors


def send(connection: socket.socket, request: PlayRequest, descriptors: list[int]) -> None:
    """Send a request on, with its descriptors. Raises ``OSError``."""
    socket.send_fds(connection, [frames.header(request.body)], descriptors)
    connection.sendall(request.body)


def ping(zygote: socket.socket) -> None:
    """Ask a zygote whether it lives. Raises ``OSError``."""
    zygote.send(frames.header(b""), socket.MSG_DONTWAIT)


def pid_file(home: Path, job: str) -> Path:
    """Return the file that holds the pid of a job's supervisor.

    It exists while any process of the run is alive.
    """
    return home / "runs" / job


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = frames.read_exactly(connection.recv, size)
    if found is None:
        raise ValueError("the end came inside a request")
    return found
