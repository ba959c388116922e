"""The timer ends a process that does not end by itself, also one that cannot do anything any more."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from reconcile_runner.leaderelection import deadline

MODULE = deadline.__file__
PROGRAM = """
import runpy, sys, time

timer = runpy.run_path({module!r})["KernelTimer"](lambda seconds: None)
{body}
print("still alive", flush=True)
"""


def start(body: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body, module=MODULE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "body",
    [
        "timer.set(0, 0.05, 40); time.sleep(50)",
        "timer.set(0, -1, 40); time.sleep(50)",
        "timer.set(0, 0.05, 40)\nwhile True: pass",
    ],
    ids=["waits", "is late already", "is busy"],
)
def test_a_process_that_is_not_done_in_time_is_ended(body: str) -> None:
    said, complained = start(body).communicate(timeout=30)
    assert said == ""
    assert '"msg": "lease about to expire and this process still running' in complained


def test_it_has_the_exit_code_of_an_error() -> None:
    process = start("timer.set(0, 0.01, 40); time.sleep(50)")
    process.communicate(timeout=30)
    assert process.returncode == 1


def test_a_timer_that_is_cancelled_in_time_does_nothing() -> None:
    process = start("timer.set(0, 50, 60); timer.set(0, 0.5, 0.6); timer.cancel(); time.sleep(1)")
    assert process.communicate(timeout=30)[0] == "still alive\n"
    assert process.returncode == 0


def test_one_that_cannot_end_itself_is_killed() -> None:
    deaf = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})"
    process = start(f"{deaf}; timer.set(0, 0.1, 0.2); time.sleep(50)")
    said, _ = process.communicate(timeout=30)
    assert (said, process.returncode) == ("", -signal.SIGKILL)


def test_one_that_is_stopped_is_killed_as_it_is() -> None:
    process = start("import os, signal; timer.set(0, 2.0, 2.5); os.kill(os.getpid(), signal.SIGSTOP)")
    said, _ = process.communicate(timeout=30)
    assert said == ""
    assert process.returncode in (-signal.SIGKILL, 1), "1 where it was so slow that it was ended before it stopped"


def test_each_setting_tells_for_how_long_runs_may_live() -> None:
    told: list[float] = []
    timer = deadline.KernelTimer(told.append)
    try:
        timer.set(11.0, 1000.0, 2000.0)
        timer.set(9.5, 1000.0, 2000.0)
    finally:
        timer.cancel()
    assert told == [11.0, 9.5]
