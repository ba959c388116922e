"""The fence: what ends this process at the latest when its lease is about to expire, whatever the event loop does.

``elector`` moves it with each renewal. An elector that cannot renew ends every run in time by itself; the fence is for
what keeps it from doing so: an event loop that hangs, a process that was stopped and goes on minutes later, a run that
will not end. The processes of runs end with their parent.
"""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Final, NoReturn, Protocol

EXIT_CODE: Final = 1
_SHORTEST: Final = 0.001
_LAST_WORDS: Final = (
    b'{"level": "error", "logger": "leaderelection", '
    b'"msg": "the lease is about to expire and this process has not ended: it is ended at once"}\n'
)


class Fence(Protocol):
    """Ends this process unless it is moved, or taken down, in time."""

    def put_up(self, seconds: float) -> None:
        """End the process in ``seconds``, in place of what was said before."""

    def take_down(self) -> None:
        """Let the process live."""


class AlarmFence:
    """A timer of the kernel's, which goes on when this process does not: SIGALRM ends it.

    For the main thread. A handler, and not the signal's default action, which the first process of a container would
    not even notice.
    """

    def put_up(self, seconds: float) -> None:
        """Arm the timer."""
        signal.signal(signal.SIGALRM, _end_at_once)
        signal.setitimer(signal.ITIMER_REAL, max(seconds, _SHORTEST))

    def take_down(self) -> None:
        """Disarm the timer."""
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _end_at_once(_number: int, _frame: FrameType | None) -> NoReturn:
    # Not through the log: the signal may have come in the middle of a line.
    os.write(2, _LAST_WORDS)
    os._exit(EXIT_CODE)
