"""A timer of the kernel that sends a signal to this process.

Python has no call for one that counts while the machine is suspended.

Imports the standard library only, because a launcher imports it.
"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Final

_CLOCK_BOOTTIME: Final = 7
"""Linux: goes on while the machine is suspended, which Python's monotonic clock does not."""


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


class SignalTimer:
    """Sends this process a signal. A fork does not inherit it (Linux)."""

    def __init__(self, number: signal.Signals) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = ctypes.c_void_p()
        event = _SigEvent(signo=number)
        self._check(self._libc.timer_create(_CLOCK_BOOTTIME, ctypes.byref(event), ctypes.byref(self._timer)))

    def set(self, seconds: float, period: float = 0.0) -> None:
        """Fire in ``seconds``; 0: never. Fire again after each ``period``; 0: only once.

        Replaces what was set before.
        """
        spec = _TimerSpec(*_whole_and_nano(period), *_whole_and_nano(seconds))
        self._check(self._libc.timer_settime(self._timer, 0, ctypes.byref(spec), None))

    def _check(self, answer: int) -> None:
        if answer != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"timer: {os.strerror(number)}")


def _whole_and_nano(seconds: float) -> tuple[int, int]:
    whole = int(seconds)
    return whole, int((seconds - whole) * 1e9)
