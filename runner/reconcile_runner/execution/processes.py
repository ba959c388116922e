"""The processes of a run, found in ``/proc`` and ended, wherever they have gone.

Ansible's workers leave the process group and the session, asynchronous tasks become daemons: a signal to a group
reaches neither. A ``launcher`` is the reaper of whatever loses its parent below it, so there its descendants are all
there is. Where the launcher itself is lost, the operator (``launcherclient``) finds a run's processes by the variable
that each of them has inherited.

Only the standard library here: a launcher imports this module.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

JOB_VARIABLE = "RECONCILE_RUNNER_JOB"
"""The environment variable by which the processes of a run are known: its value is the job's ident."""

PATIENCE = 2.0
"""Seconds after which a process that SIGKILL did not end (it waits for a disk, say) is left to itself."""

_PAUSE = 0.002
"""Seconds between two looks. The kernel reports the end of children only, and these are mostly not ours."""

_DEAD_STATES = frozenset("ZXx")


def living_descendants(root: int) -> frozenset[int]:
    """Return the pids below ``root`` that have not ended; zombies have."""
    return _below({root})


def descendants_or_marked(job: str) -> frozenset[int]:
    """Return the living pids that carry the job's variable, and all below them."""
    marked = {pid for pid in _pids() if _carries(pid, job)}
    return _below(marked) | frozenset(pid for pid in marked if _is_alive(pid))


def kill_until_gone(find: Callable[[], frozenset[int]], patience: float = PATIENCE) -> bool:
    """Kill what ``find`` returns until it finds nothing, also what was forked meanwhile.

    Returns False where something still lives after ``patience`` seconds. Blocks.
    """
    deadline = time.monotonic() + patience
    while pids := find():
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True


def _below(roots: set[int]) -> frozenset[int]:
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
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets, which may itself hold brackets and spaces.
    state, parent, *_ = text.rpartition(")")[2].split()
    return state, int(parent)


def _carries(pid: int, job: str) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return f"{JOB_VARIABLE}={job}".encode() in environment.split(b"\0")
