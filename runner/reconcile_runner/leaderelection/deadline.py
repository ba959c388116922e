"""A deadline timer: ends this process before its lease expires.

Each renewal sets it again. An elector that cannot renew ends every run in time by itself; the timer is for what keeps
it from doing so: an event loop that hangs, a process that was stopped, a run that does not end. The processes of runs
end with their parent (``execution.launcher``).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from types import FrameType
from typing import Final, NoReturn, Protocol

EXIT_CODE: Final = 1
_MIN_TIMER_SECONDS: Final = 0.001
_EXIT_LOG_LINE: Final = (
    b'{"level": "error", "logger": "leaderelection", '
    b'"msg": "lease about to expire and this process still running: ending it now"}\n'
)
_CLOCK_BOOTTIME: Final = 7
"""Linux: goes on while the machine is suspended, which Python's monotonic clock does not."""


class DeadlineTimer(Protocol):
    """Ends this process unless it is set again, or cancelled, in time."""

    def set(self, end_in: float, kill_in: float) -> None:
        """End the process in ``end_in`` seconds, with a log line.

        Kill it in ``kill_in``, whatever state it is in.

        Both replace what was set before. What is not above zero means at once.
        """

    def cancel(self) -> None:
        """Do not end the process."""


class KernelTimer:
    """Implements ``DeadlineTimer`` with two timers of the kernel.

    Use it in the main thread.

    SIGALRM ends it, with a handler and not by default, because the first process of a container ignores signals that it
    does not handle. SIGKILL ends a process that cannot even handle a signal, such as one that is stopped (Linux; not
    the first process of a container).
    """

    def __init__(self) -> None:
        self._killer = _KillTimer() if sys.platform == "linux" else None

    def set(self, end_in: float, kill_in: float) -> None:
        """Arm both timers."""
        signal.signal(signal.SIGALRM, _end_at_once)
        signal.setitimer(signal.ITIMER_REAL, max(end_in, _MIN_TIMER_SECONDS))
        if self._killer is not None:
            self._killer.set(max(kill_in, _MIN_TIMER_SECONDS))

    def cancel(self) -> None:
        """Disarm both timers."""
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        if self._killer is not None:
            self._killer.set(0.0)


class _SigEvent(ctypes.Structure):
    """``struct sigevent`` of timer_create(2); notify 0 is SIGEV_SIGNAL."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signo", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_char * 48),
    )


class _TimerSpec(ctypes.Structure):
    """``struct itimerspec`` of timer_settime(2)."""

    _fields_ = (
        ("period_seconds", ctypes.c_long),
        ("period_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


class _KillTimer:
    """A timer that sends SIGKILL to this process. Python has no call for it."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = ctypes.c_void_p()
        event = _SigEvent(signo=signal.SIGKILL)
        self._check(self._libc.timer_create(_CLOCK_BOOTTIME, ctypes.byref(event), ctypes.byref(self._timer)))

    def set(self, seconds: float) -> None:
        """Fire in ``seconds``; 0: never. Replaces what was set before."""
        whole = int(seconds)
        spec = _TimerSpec(seconds=whole, nanoseconds=int((seconds - whole) * 1e9))
        self._check(self._libc.timer_settime(self._timer, 0, ctypes.byref(spec), None))

    def _check(self, answer: int) -> None:
        if answer != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"timer: {os.strerror(number)}")


def _end_at_once(_number: int, _frame: FrameType | None) -> NoReturn:
    # Not through the log: the signal may have come in the middle of a line.
    os.write(2, _EXIT_LOG_LINE)
    os._exit(EXIT_CODE)
