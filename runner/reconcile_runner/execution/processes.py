"""Processes on Linux: watch children, find and kill descendants, adopt orphans.

Ansible's workers leave the process group and the session, and asynchronous tasks become daemons, so a signal to a group
reaches neither. The launcher and the fork server's processes adopt the orphans below them: a run's processes are then
their descendants, which ``/proc`` lists. If a launcher is lost, the processes of its run are found by ``JOB_VARIABLE``,
which each of them inherits.

Imports the standard library only, because a launcher imports it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

JOB_VARIABLE: Final = "RECONCILE_RUNNER_JOB"
"""The environment variable by which the processes of a run are known: its value is the job's ident."""

KILL_TIMEOUT: Final = 2.0
"""Seconds to wait for processes that got SIGKILL. One that waits for a disk may live longer."""

_POLL_PERIOD: Final = 0.002
"""Seconds between two looks at ``/proc``: the kernel reports the end of children only, not of descendants."""

_OOM_SCORE: Final = 500
_PR_SET_DUMPABLE: Final = 4
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_LIBC = ctypes.CDLL(None, use_errno=True)

_USER_TIME: Final = 11
"""The place of ``utime`` among the fields of ``/proc/<pid>/stat`` from the state on; ``stime`` follows."""

_DEAD_STATES = frozenset("ZXx")


class ChildWatch:
    """A descriptor that becomes readable when a child ends, for ``select``.

    One per process, in its main thread.
    """

    def __init__(self) -> None:
        self._readable, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._readable

    def clear(self) -> None:
        """Make the descriptor unreadable until the next child ends.

        Call it before the children are reaped.
        """
        with contextlib.suppress(BlockingIOError):
            os.read(self._readable, 4096)


def stop_child_watch() -> None:
    """Undo what a ``ChildWatch`` set in the process that forked this one.

    Its descriptors stay open.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def set_parent_death_signal(number: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends."""
    prctl(_PR_SET_PDEATHSIG, number)


def die_with_parent(number: signal.Signals, parent: int) -> None:
    """Have the kernel send this process a signal when its parent ends.

    Exits at once if ``parent`` (a pid) has ended already.
    """
    set_parent_death_signal(number)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    prctl(_PR_SET_CHILD_SUBREAPER, 1)


def offer_to_oom_killer() -> None:
    """Have the kernel prefer this process when memory runs out.

    It is then killed rather than the operator or the fork server.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE), encoding="ascii")


def forbid_inspection() -> None:
    """Have the kernel keep this process's memory, environment and descriptors from others of the same user.

    It writes no core dump then. What it forks is the same until it starts a program.
    """
    prctl(_PR_SET_DUMPABLE, 0)


def close_all_but(kept: frozenset[int]) -> None:
    """Close every descriptor but the standard ones and ``kept``."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - iterdir would have a descriptor of its own open
        if int(name) > 2 and int(name) not in kept:  # noqa: PLR2004 - the standard ones
            with contextlib.suppress(OSError):
                os.close(int(name))


def children() -> frozenset[int]:
    """Return the pids of this process's children, zombies included. It has one thread."""
    pid = os.getpid()
    return frozenset(int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split())


def count_threads() -> int:
    """Return how many threads this process has, those of libraries included."""
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - one call


def cpu_time(pid: int) -> int | None:
    """Return how long a process has computed so far, in the kernel's ticks; None if there is none of this pid."""
    fields = _stat_fields(pid)
    return None if fields is None else int(fields[_USER_TIME]) + int(fields[_USER_TIME + 1])


def living_descendants(root: int) -> frozenset[int]:
    """Return the pids below ``root``, without zombies."""
    return _below(frozenset({root}))


def end_orphans(own: frozenset[int]) -> bool:
    """Kill and reap the children that are not in ``own``, and kill all below them.

    Return whether there were any. For a process that adopts orphans and has one thread. Blocks.
    """
    if not children() - own:
        return False
    kill_until_gone(lambda: _living_families(children() - own))
    for pid in children() - own:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return True


def descendants_or_marked(job: str) -> frozenset[int]:
    """Return the living pids whose environment names the job, and those below them."""
    return _living_families(frozenset(pid for pid in _pids() if _carries(pid, job)))


def kill_until_gone(find: Callable[[], frozenset[int]], timeout: float = KILL_TIMEOUT) -> bool:
    """Send SIGKILL to the pids that ``find`` returns, until it returns none.

    Processes that were forked meanwhile are killed, too. Returns False if a process is still alive after ``timeout``
    seconds. Blocks.
    """
    deadline = time.monotonic() + timeout
    while pids := find():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_PERIOD)
    return True


def _living_families(roots: frozenset[int]) -> frozenset[int]:
    return _below(roots) | frozenset(pid for pid in roots if _is_alive(pid))


def _below(roots: frozenset[int]) -> frozenset[int]:
    children: dict[int, list[int]] = {}
    alive: set[int] = set()
    for pid in _pids():
        stat = _state_and_parent(pid)
        if stat is None:
            continue
        state, parent = stat
        children.setdefault(parent, []).append(pid)
        if state not in _DEAD_STATES:
            alive.add(pid)
    found: set[int] = set()
    pending = list(roots)
    while pending:
        for child in children.get(pending.pop(), ()):
            if child not in found:
                found.add(child)
                pending.append(child)
    return frozenset(found & alive)


def _pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir("/proc") if entry.isdecimal())  # noqa: PTH208 - ten times cheaper


def _is_alive(pid: int) -> bool:
    stat = _state_and_parent(pid)
    return stat is not None and stat[0] not in _DEAD_STATES


def _state_and_parent(pid: int) -> tuple[str, int] | None:
    fields = _stat_fields(pid)
    return None if fields is None else (fields[0], int(fields[1]))


def _stat_fields(pid: int) -> list[str] | None:
    """Return the fields of ``/proc/<pid>/stat`` from the third one, which is the state."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets, which may itself hold brackets and spaces.
    return text.rpartition(")")[2].split()


def _carries(pid: int, job: str) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return f"{JOB_VARIABLE}={job}".encode() in environment.split(b"\0")


def prctl(option: int, value: int) -> None:
    """Change a setting of this process in the kernel; its manual page lists them. Raises ``OSError``."""
    if _LIBC.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}): {os.strerror(ctypes.get_errno())}")
