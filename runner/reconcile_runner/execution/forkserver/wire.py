"""What goes between ``client``, ``server`` and ``zygote``: requests with descriptors, over unix sockets.

A request is four bytes of length, big-endian, to which the descriptors are attached, and as many bytes in ``marshal``'s
format. Both ends are this user's and run the same interpreter, and the socket's directory is private.
"""

from __future__ import annotations

import marshal
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconcile_runner.execution import frames
from reconcile_runner.execution.processes import JOB_VARIABLE

START: Final = b"S"
"""Answer: the run begins. The client then lets go of its terminal and says whether it had one (``HAS_TERMINAL``)."""

EXITED: Final = b"E"
KILLED: Final = b"K"
"""Answers: the run has ended, with the exit code or by the signal that follows as one byte."""

ORDINARY: Final = b"X"
"""Answer: the client is to run ``ansible-playbook`` itself. Nothing was done."""

HAS_TERMINAL: Final = b"T"

_MAXIMUM_DESCRIPTORS = 8


@dataclass(frozen=True, slots=True)
class Request:
    """A run that is asked for: as ``ansible-playbook`` would have been started."""

    argv: tuple[str, ...]
    cwd: str
    umask: int
    environment: Mapping[bytes, bytes]
    body: bytes

    @property
    def job(self) -> str:
        """Return the job's ident, empty where there is none."""
        return self.environment.get(JOB_VARIABLE.encode(), b"").decode("utf-8", "surrogateescape")


def receive(connection: socket.socket) -> tuple[Request, list[int]] | None:
    """Return the next request and its descriptors; None at the end. Raises ``OSError``, ``ValueError``."""
    header, descriptors, _, _ = socket.recv_fds(connection, frames.HEADER_BYTES, _MAXIMUM_DESCRIPTORS)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    if not header:
        return None
    header += _exactly(connection, frames.HEADER_BYTES - len(header))
    body = _exactly(connection, frames.body_length(header))
    argv, cwd, umask, environment = marshal.loads(body)  # noqa: S302 - from a process of this user, see above
    return Request(tuple(argv), cwd, umask, environment, body), descriptors


def send(connection: socket.socket, request: Request, descriptors: list[int]) -> None:
    """Hand a request on. Raises ``OSError``."""
    socket.send_fds(connection, [frames.header(request.body)], descriptors)
    connection.sendall(request.body)


def pid_file(home: Path, job: str) -> Path:
    """Return the file that holds the pid of the supervisor of a job for as long as anything of its run lives."""
    return home / "runs" / job


def _exactly(connection: socket.socket, size: int) -> bytes:
    found = frames.read_exactly(connection.recv, size)
    if found is None:
        raise ValueError("the end came inside a request")
    return found
