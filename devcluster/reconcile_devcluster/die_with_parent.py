"""Replace this process by a program that the kernel kills as soon as the process that started it ends.

Called by `process.spawn` as `python -I -S die_with_parent.py PARENT_PID PROGRAM ARGUMENT…`; standard library only,
since it runs without site-packages. The request survives `execve` (prctl(2), PR_SET_PDEATHSIG).
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def request_death_signal(number: int) -> None:
    """Have the kernel send this process a signal when the thread that started it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def main(arguments: list[str]) -> None:
    """Ask for the death signal, then become the program."""
    parent, program = int(arguments[0]), arguments[1:]
    request_death_signal(signal.SIGKILL)
    if os.getppid() != parent:
        # The starter ended before the request was in place: nobody would ever send the signal.
        sys.exit(1)
    os.execv(program[0], program)  # noqa: S606 - becoming the program is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
