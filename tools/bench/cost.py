"""What a process and everything below it cost: CPU time, children that have ended included, and memory.

Read from ``/proc``. A process's entry holds its own time and that of the children it has waited for (with theirs), so
the sum over all that live, or wait to be waited for, counts each process of the tree once. Only what loses its parent
and is adopted outside the tree escapes; the operator's launchers adopt what runs below them.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_KB_PER_MB = 1024

# Fields of /proc/PID/stat after the command's closing parenthesis: see proc(5).
_PARENT = 1
_OWN_TIMES = slice(11, 13)
_CHILDREN_TIMES = slice(13, 15)

QUIET_WINDOW = 0.3
"""Seconds in which a quiet tree uses next to no CPU."""

_QUIET_CPU = 0.02


@dataclass(frozen=True, slots=True)
class _Entry:
    parent: int
    own_ticks: int
    children_ticks: int


class ProcessTree:
    """A process and its descendants. ``root`` is a pid."""

    def __init__(self, root: int) -> None:
        self._root = root

    def pids(self) -> frozenset[int]:
        """Return the pids of the tree, of ended processes too that nobody has waited for yet."""
        return frozenset(_tree(_entries(), self._root))

    def cpu_seconds(self) -> float:
        """Return the CPU time of all that ever ran in the tree; of what has ended, to the kernel's tick of 10 ms."""
        entries = _entries()
        return sum(_cpu_seconds(pid, entries[pid]) for pid in _tree(entries, self._root))

    def pss_megabytes(self) -> float:
        """Return the memory of the tree; what several processes share is counted in parts, once in all."""
        return sum(_pss_kilobytes(pid) for pid in self.pids()) / _KB_PER_MB

    async def settle(self, patience: float = 120.0, window: float = QUIET_WINDOW) -> None:
        """Wait until the tree used next to no CPU for ``window`` seconds; ``TimeoutError`` after ``patience`` seconds.

        What does a little at a time, all the time, shows in a long window only.
        The one place that polls: no event tells that a foreign process has become idle.
        """
        deadline = time.monotonic() + patience
        before = self.cpu_seconds()
        while True:
            await asyncio.sleep(window)
            now = self.cpu_seconds()
            if now - before <= _QUIET_CPU:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self._root} and its children were still busy after {patience:.0f} s")
            before = now


def _entries() -> dict[int, _Entry]:
    found: dict[int, _Entry] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - ten times cheaper
        if not name.isdecimal():
            continue
        try:
            text = Path(f"/proc/{name}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The command's name may hold spaces and parentheses itself.
        fields = text.rpartition(")")[2].split()
        own, children = (sum(map(int, fields[times])) for times in (_OWN_TIMES, _CHILDREN_TIMES))
        found[int(name)] = _Entry(int(fields[_PARENT]), own, children)
    return found


def _cpu_seconds(pid: int, entry: _Entry) -> float:
    try:
        # The clock of a process, as clock_getcpuclockid(3) makes its number: nanoseconds, where ticks are 10 ms.
        own = time.clock_gettime((~pid << 3) | 2)
    except OSError:
        own = entry.own_ticks / _TICKS_PER_SECOND
    return own + entry.children_ticks / _TICKS_PER_SECOND


def _tree(entries: dict[int, _Entry], root: int) -> set[int]:
    children: dict[int, list[int]] = {}
    for pid, entry in entries.items():
        children.setdefault(entry.parent, []).append(pid)
    found: set[int] = set()
    pending = [root] if root in entries else []
    while pending:
        pid = pending.pop()
        found.add(pid)
        pending.extend(children.get(pid, ()))
    return found


def _pss_kilobytes(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
