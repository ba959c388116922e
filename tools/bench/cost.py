"""What a process and everything below it cost: CPU time, children that have ended included, and memory.

A process's entry in ``/proc`` holds its own time and that of the children it has waited for (with theirs), so
the sum over all that live, or wait to be waited for, counts each process of the tree once. Only what loses its parent
and is adopted outside the tree escapes; the operator's launchers adopt what runs below them.
"""

from __future__ import annotations

import asyncio
import time

import psutil

_BYTES_PER_MB = 1024**2

QUIET_WINDOW = 0.3
"""Seconds in which a quiet tree uses next to no CPU."""

_QUIET_CPU = 0.02


class ProcessTree:
    """A process and its descendants. ``root`` is a pid."""

    def __init__(self, root: int) -> None:
        self._root = root

    def pids(self) -> frozenset[int]:
        """Return the pids of the tree, of ended processes too that nobody has waited for yet."""
        return frozenset(process.pid for process in self._processes())

    def cpu_seconds(self) -> float:
        """Return the CPU time of all that ever ran in the tree; of what has ended, to the kernel's tick of 10 ms."""
        return sum(_cpu_seconds(process) for process in self._processes())

    def pss_megabytes(self) -> float:
        """Return the memory of the tree; what several processes share is counted in parts, once in all."""
        return sum(_pss_bytes(process) for process in self._processes()) / _BYTES_PER_MB

    def _processes(self) -> list[psutil.Process]:
        try:
            root = psutil.Process(self._root)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

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


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    try:
        # The clock of a process, as clock_getcpuclockid(3) makes its number: nanoseconds, where ticks are 10 ms.
        own = time.clock_gettime((~process.pid << 3) | 2)
    except OSError:
        own = times.user + times.system
    return own + float(times.children_user + times.children_system)


def _pss_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return 0
