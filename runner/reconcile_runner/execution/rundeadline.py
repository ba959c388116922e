"""Until when the processes of runs may live, whatever becomes of the operator.

The operator moves the deadline on with each renewal of its lease. The processes that end runs (launchers and the fork
server's supervisors) each keep it with a timer of their own, so it holds where the operator is stopped, or hangs.

It is eight bytes in a file in memory, whose descriptor these processes inherit: no disk can be full, and no process of
a run can write them.

Imports the standard library and ``signaltimer`` only, because a launcher imports it.
"""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Callable
from types import FrameType
from typing import Final

from reconcile_runner.signaltimer import SignalTimer

NONE: Final = -1
"""The descriptor where runs have no deadline."""

_MOMENT: Final = struct.Struct("d")
"""Seconds since the machine started, those of a suspended machine included; 0: no deadline yet."""

_MIN_TIMER_SECONDS: Final = 0.001
_REPEAT_PERIOD: Final = 0.1
"""Seconds to the next signal. Python handles one that comes right before a system call only when that ends."""


def descriptors(deadline: int) -> tuple[int, ...]:
    """Return what a program is to inherit for a deadline: its descriptor, or nothing where there is none."""
    return () if deadline == NONE else (deadline,)


def keep(deadline: int) -> None:
    """Keep an inherited descriptor in this process and its forks: programs that they start do not get it."""
    for descriptor in descriptors(deadline):
        os.set_inheritable(descriptor, False)


class RunDeadline:
    """The operator's end: moves the deadline of all its runs on."""

    def __init__(self) -> None:
        self._file = os.memfd_create("run deadline", os.MFD_CLOEXEC)
        os.pwrite(self._file, _MOMENT.pack(0.0), 0)
        self._read_only = os.open(f"/proc/self/fd/{self._file}", os.O_RDONLY | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Return the descriptor for the processes that end runs. It can only be read."""
        return self._read_only

    def extend(self, seconds: float) -> None:
        """Let runs live for ``seconds`` from now, and no longer. Replaces what was set before."""
        os.pwrite(self._file, _MOMENT.pack(_now() + seconds), 0)

    def close(self) -> None:
        """Close the file. Processes that hold it keep the last deadline."""
        os.close(self._read_only)
        os.close(self._file)


class RunDeadlineWatch:
    """The other end: calls ``on_end`` in the main thread when the deadline has come, whatever this process does.

    ``descriptor`` is that of the operator's ``RunDeadline``, or ``NONE``, with which nothing ever happens. It uses
    SIGALRM.
    """

    def __init__(self, descriptor: int, on_end: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._on_end = on_end
        self._timer: SignalTimer | None = None

    def start(self) -> None:
        """Keep the deadline from now on. May be called again."""
        if self._descriptor == NONE or self._timer is not None:
            return
        left = self._seconds_left()
        if left is None:
            return
        signal.signal(signal.SIGALRM, self._on_alarm)
        self._timer = SignalTimer(signal.SIGALRM)
        self._timer.set(max(left, _MIN_TIMER_SECONDS), _REPEAT_PERIOD)

    def _on_alarm(self, _number: int, _frame: FrameType | None) -> None:
        left = self._seconds_left()
        if self._timer is None or left is None:
            return
        if left > 0:
            self._timer.set(max(left, _MIN_TIMER_SECONDS), _REPEAT_PERIOD)
        else:
            self._timer.set(0.0)
            self._on_end()

    def _seconds_left(self) -> float | None:
        (moment,) = _MOMENT.unpack(os.pread(self._descriptor, _MOMENT.size, 0))
        return moment - _now() if moment else None


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
