"""What the processes of the fork server do to themselves, by the kernel's means (Linux).

``server``, ``zygote``, ``supervisor`` and ``play`` call these; each of them has one thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_OOM_SCORE = 500
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: signal.Signals, parent: int) -> None:
    """Have the kernel send this process a signal when its parent ends, and end now where ``parent`` has ended."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every process below this one that loses its own."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def children() -> frozenset[int]:
    """Return the pids of this process's children, ended or not."""
    pid = os.getpid()
    return frozenset(int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split())


def threads() -> int:
    """Return how many threads this process has, those of libraries among them."""
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - one call


def offer_to_oom_killer() -> None:
    """Have the kernel, of two processes, take this one's memory rather than that of the operator or the server."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE), encoding="ascii")


def close_all_but(kept: frozenset[int]) -> None:
    """Close every descriptor but the standard ones and those."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - iterdir would have a descriptor of its own open
        if int(name) > 2 and int(name) not in kept:  # noqa: PLR2004 - the standard ones
            with contextlib.suppress(OSError):
                os.close(int(name))


def _prctl(option: int, value: int) -> None:
    if _LIBC.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}): {os.strerror(ctypes.get_errno())}")
