"""Has a run's supervisor fork the processes of the run's modules.

The supervisor is a fork of the zygote that has run nothing: it has one thread, few pages of its own, and the import
system that modules need. The play and its workers ask it for a process.

A request is a datagram of one byte with four descriptors: a file in memory that holds, in ``marshal``'s format, the
module and its surroundings; its stdout and stderr; and a pipe that gets its wait status as eight bytes.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import selectors
import signal
import socket
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Final

from reconcile_runner.execution import processes
from reconcile_runner.execution.forkserver.modules.child import Module, Stock, Surroundings, run

_REQUEST: Final = b"M"
_STATUS_BYTES: Final = 8
_SILENT_SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGPIPE})
"""The signals that a shell does not report when they end a program."""


class HostGoneError(OSError):
    """The supervisor ended while the module was running."""


class ModuleHost:
    """Both ends of the requests for modules' processes.

    ``ask`` is for the run's processes, ``answer`` and ``notify`` are for its supervisor.
    """

    def __init__(self) -> None:
        self.requests, self._asking = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._statuses: dict[int, int] = {}

    def keep_asking_end(self) -> int:
        """Close the supervisor's end, in a process of the run.

        Return the descriptor of the other.
        """
        self.requests.close()
        return self._asking.fileno()

    def keep_answering_end(self) -> None:
        """Close the run's end, in its supervisor."""
        self._asking.close()

    def ask(self, module: Module, environment: Mapping[bytes, bytes], cwd: bytes | None) -> tuple[int, bytes, bytes]:
        """Run a module.

        Return exit code, stdout and stderr as a shell between would report them. ``cwd`` None: the current directory.
        Raises ``HostGoneError``.
        """
        surroundings = (dict(environment), cwd or bytes(Path.cwd()), _umask())
        content = os.memfd_create("module")
        with open(content, "wb", closefd=False) as file:
            marshal.dump((astuple(module), surroundings), file)
        reading, writing = zip(*(os.pipe() for _ in range(3)), strict=True)
        try:
            # An error means that the supervisor has ended: the pipes are then empty.
            with contextlib.suppress(OSError):
                socket.send_fds(self._asking, [_REQUEST], [content, *writing])
        finally:
            for descriptor in (content, *writing):
                os.close(descriptor)
        stdout, stderr, status = _read_all(reading)
        if len(status) != _STATUS_BYTES:
            raise HostGoneError("the process that was to start the module has ended")
        return _as_shell(int.from_bytes(status, "big"), stdout, stderr)

    def answer(self, stock: Stock) -> None:
        """Receive a request and fork the module's process."""
        _, descriptors, _, _ = socket.recv_fds(self.requests, 1, 4)
        content, stdout, stderr, status = descriptors
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            processes.die_with_parent(signal.SIGKILL, parent)
            os.lseek(content, 0, os.SEEK_SET)
            with open(content, "rb", closefd=False) as file:
                module, surroundings = marshal.load(file)  # noqa: S302 - from a process of this run
            run(Module(*module), Surroundings(*surroundings), stock, stdout, stderr)
        for descriptor in (content, stdout, stderr):
            os.close(descriptor)
        self._statuses[pid] = status

    def notify(self, pid: int, status: int) -> None:
        """Send a module's wait status to the process that waits for it.

        Any other child's is ignored.
        """
        descriptor = self._statuses.pop(pid, None)
        if descriptor is not None:
            # A task that has timed out no longer waits for its module.
            with contextlib.suppress(BrokenPipeError):
                os.write(descriptor, status.to_bytes(_STATUS_BYTES, "big"))
            os.close(descriptor)


def _umask() -> int:
    now = os.umask(0o077)
    os.umask(now)
    return now


def _as_shell(status: int, stdout: bytes, stderr: bytes) -> tuple[int, bytes, bytes]:
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status), stdout, stderr
    number = os.WTERMSIG(status)
    if number not in _SILENT_SIGNALS:
        dumped = " (core dumped)" if os.WCOREDUMP(status) else ""
        stderr += f"{signal.strsignal(number)}{dumped}\n".encode()
    return 128 + number, stdout, stderr


def _read_all(descriptors: tuple[int, ...]) -> list[bytes]:
    found = {descriptor: bytearray() for descriptor in descriptors}
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                part = os.read(key.fd, 1024 * 1024)
                if part:
                    found[key.fd] += part
                else:
                    selector.unregister(key.fd)
                    os.close(key.fd)
    return [bytes(each) for each in found.values()]
