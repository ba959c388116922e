"""Start, recognise and end the programs of a control plane.

A process is known by its pid, its start time and the boot it belongs to, so that a recycled pid is never signalled.
`controlplane` starts through `spawn` and `state` remembers the `ProcessIdentity`.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconcile_devcluster.die_with_parent import request_death_signal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DEATH_SHIM = Path(__file__).with_name("die_with_parent.py")

_START_TIME_FIELD = 22 - 3
"""Index of `starttime` among the fields of /proc/PID/stat that follow the command's closing parenthesis (proc(5))."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process, not to be confused with a later one of the same pid.

    Attributes:
        pid: Process id.
        start_ticks: Start time in clock ticks after boot (field 22 of /proc/PID/stat).
        boot_id: The boot those ticks count from.

    """

    pid: int
    start_ticks: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """Identity of a running process.

        Raises:
            ProcessLookupError: There is no such process, or it has ended and only waits to be reaped.

        """
        return cls(pid=pid, start_ticks=_start_ticks(pid), boot_id=_boot_id())

    def is_alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        try:
            return ProcessIdentity.of(self.pid) == self
        except ProcessLookupError:
            return False


def spawn(
    command: Sequence[str],
    *,
    cwd: Path,
    log: Path | None,
    env: Mapping[str, str] | None = None,
    dies_with_starter: bool,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, without stdin, its output in a file.

    Args:
        command: Program (absolute path) and arguments.
        cwd: Its working directory.
        log: File for stdout and stderr, emptied first; None for our own.
        env: Its whole environment; None hands ours on.
        dies_with_starter: The kernel kills it when the thread that calls this ends, however that happens.

    """
    if dies_with_starter:
        # A program of its own rather than `preexec_fn`, which is unsafe in a process with threads.
        command = [sys.executable, "-I", "-S", str(_DEATH_SHIM), str(os.getpid()), *command]
    with ExitStack() as stack:
        output = None if log is None else stack.enter_context(log.open("wb"))
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            start_new_session=True,
        )


def die_with_parent(number: signal.Signals) -> None:
    """Ask the kernel to send us a signal when the process that started us ends (its thread, to be exact)."""
    parent = os.getppid()
    request_death_signal(number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def stop(identity: ProcessIdentity, grace: float) -> bool:
    """End a process: SIGTERM, then SIGKILL when it has not ended in time.

    Args:
        identity: The process; one that is gone already is fine.
        grace: Seconds it gets to end by itself.

    Returns:
        Whether it ended by itself.

    """
    descriptor = _open(identity)
    if descriptor is None:
        return True
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        if _wait_for_exit(descriptor, grace):
            return True
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        _wait_for_exit(descriptor, None)
    except ProcessLookupError:
        return True
    finally:
        os.close(descriptor)
        _reap(identity.pid)
    return False


def wait(identity: ProcessIdentity, timeout: float) -> bool:
    """Wait until a process has ended.

    Args:
        identity: The process.
        timeout: Seconds to wait at most.

    Returns:
        Whether it has ended.

    """
    descriptor = _open(identity)
    if descriptor is None:
        return True
    try:
        return _wait_for_exit(descriptor, timeout)
    finally:
        os.close(descriptor)


def _open(identity: ProcessIdentity) -> int | None:
    """Return a descriptor of the process, or None when it is gone.

    Identity is checked after opening: from then on the pid cannot change hands.
    """
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    if identity.is_alive():
        return descriptor
    os.close(descriptor)
    return None


def _wait_for_exit(descriptor: int, timeout: float | None) -> bool:
    deadline = None if timeout is None else time.monotonic() + timeout
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if poller.poll(left):
            return True
        if deadline is not None and time.monotonic() >= deadline:
            return False


def _reap(pid: int) -> None:
    """Collect the exit status where the process is our child; others are reaped by the process that started them."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _start_ticks(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError) as error:
        raise ProcessLookupError(f"no process {pid}") from error
    # The command's name may hold spaces and parentheses itself: fields are counted from the last one.
    fields = text[text.rindex(")") + 2 :].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(f"process {pid} has ended")
    return int(fields[_START_TIME_FIELD])


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
