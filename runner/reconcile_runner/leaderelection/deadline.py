"""A deadline timer: ends the runs and this process before its lease expires.

Each renewal sets it again. An elector that cannot renew ends every run in time by itself; the timer is for what keeps
it from doing so: an event loop that hangs, a process that was stopped, a run that does not end. Runs do not depend on
this process there: those that end runs keep their deadline by themselves (``execution.rundeadline``).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final, NoReturn, Protocol

from reconcile_runner.signaltimer import SignalTimer

EXIT_CODE: Final = 1
_MIN_TIMER_SECONDS: Final = 0.001
_EXIT_LOG_LINE: Final = (
    b'{"level": "error", "logger": "leaderelection", '
    b'"msg": "lease about to expire and this process still running: ending it now"}\n'
)


class DeadlineTimer(Protocol):
    """Ends the runs and this process unless it is set again, or cancelled, in time."""

    def set(self, end_runs_in: float, end_in: float, kill_in: float) -> None:
        """End the runs in ``end_runs_in`` seconds, and the process in ``end_in``, with a log line.

        Kill it in ``kill_in``, whatever state it is in.

        All replace what was set before. What is not above zero means at once.
        """

    def cancel(self) -> None:
        """Do not end the process."""


class KernelTimer:
    """Implements ``DeadlineTimer`` with two timers of the kernel, and those of the processes that end runs.

    Use it in the main thread. ``extend_runs`` tells them for how many seconds runs may live.

    SIGALRM ends it, with a handler and not by default, because the first process of a container ignores signals that it
    does not handle. SIGKILL ends a process that cannot even handle a signal, such as one that is stopped (Linux; not
    the first process of a container).
    """

    def __init__(self, extend_runs: Callable[[float], None]) -> None:
        self._extend_runs = extend_runs
        self._killer = SignalTimer(signal.SIGKILL) if sys.platform == "linux" else None

    def set(self, end_runs_in: float, end_in: float, kill_in: float) -> None:
        """Arm all timers."""
        self._extend_runs(end_runs_in)
        signal.signal(signal.SIGALRM, _end_at_once)
        signal.setitimer(signal.ITIMER_REAL, max(end_in, _MIN_TIMER_SECONDS))
        if self._killer is not None:
            self._killer.set(max(kill_in, _MIN_TIMER_SECONDS))

    def cancel(self) -> None:
        """Disarm the timers of this process."""
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        if self._killer is not None:
            self._killer.set(0.0)


def _end_at_once(_number: int, _frame: FrameType | None) -> NoReturn:
    # Not through the log: the signal may have come in the middle of a line.
    os.write(2, _EXIT_LOG_LINE)
    os._exit(EXIT_CODE)
