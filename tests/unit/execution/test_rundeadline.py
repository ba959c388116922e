"""The deadline of all runs holds in the process that ends runs, whatever became of the one that set it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from reconcile_runner.execution import rundeadline
from reconcile_runner.execution.rundeadline import RunDeadline

PROGRAM = r"""
import os, signal, sys, time
from reconcile_runner.execution.rundeadline import RunDeadlineWatch

def end():
    os.write(1, b"ended\n")
    os._exit(7)

watch = RunDeadlineWatch(int(sys.argv[1]), end)
os.write(1, b"started\n")
watch.start()
watch.start()
BODY
print("not ended", flush=True)
"""


@pytest.fixture
def deadline() -> Iterator[RunDeadline]:
    made = RunDeadline()
    yield made
    made.close()


def start(descriptor: int, body: str) -> subprocess.Popen[str]:
    """Return a process that keeps a deadline, and has begun to."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("BODY", body), str(descriptor)],
        pass_fds=() if descriptor == rundeadline.NONE else (descriptor,),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def said_by(process: subprocess.Popen[str]) -> str:
    """Return what a process says from now on to its end."""
    assert process.stdout is not None
    with process:
        return process.stdout.read()


@pytest.mark.parametrize("body", ["time.sleep(60)", "while True: pass", "sys.stdin.read()"])
def test_it_ends_who_waits_and_who_is_busy(deadline: RunDeadline, body: str) -> None:
    deadline.extend(0.05)
    process = start(deadline.fileno(), body)
    assert said_by(process) == "ended\n"
    assert process.returncode == 7


def test_one_that_has_passed_ends_at_once(deadline: RunDeadline) -> None:
    deadline.extend(-5.0)
    process = start(deadline.fileno(), "time.sleep(60)")
    assert said_by(process) == "ended\n"


def test_one_that_is_moved_on_does_not(deadline: RunDeadline) -> None:
    deadline.extend(1.0)
    process = start(deadline.fileno(), "time.sleep(1.5)")
    deadline.extend(300.0)
    assert said_by(process) == "not ended\n"


def test_one_that_is_moved_on_once_still_ends(deadline: RunDeadline) -> None:
    deadline.extend(0.2)
    process = start(deadline.fileno(), "time.sleep(60)")
    deadline.extend(0.6)
    assert said_by(process) == "ended\n"


def test_it_holds_when_who_set_it_is_gone() -> None:
    gone = RunDeadline()
    gone.extend(0.5)
    process = start(gone.fileno(), "time.sleep(60)")
    gone.close()
    assert said_by(process) == "ended\n"


@pytest.mark.parametrize("is_set", [True, False])
def test_where_there_is_none_nothing_ends(deadline: RunDeadline, is_set: bool) -> None:
    """An operator without a lease sets none; one that stands by has not set it yet."""
    process = start(deadline.fileno() if is_set else rundeadline.NONE, "pass")
    assert said_by(process) == "not ended\n"


def test_a_fork_keeps_no_deadline(deadline: RunDeadline) -> None:
    deadline.extend(1.0)
    body = """
pid = os.fork()
if pid == 0:
    time.sleep(1.5)
    os._exit(3)
signal.signal(signal.SIGALRM, signal.SIG_IGN)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
    process = start(deadline.fileno(), body)
    assert said_by(process) == "3\nnot ended\n"


def test_who_holds_the_descriptor_cannot_move_it_on(deadline: RunDeadline) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.pwrite(deadline.fileno(), b"later...", 0)
    assert rundeadline._now() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME), abs=5)
