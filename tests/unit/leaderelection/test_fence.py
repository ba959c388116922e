"""The fence ends a process that does not end by itself, also one that cannot do anything any more."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """
import sys, time
from runner.leaderelection.fence import AlarmFence

fence = AlarmFence()
{body}
print("still alive", flush=True)
"""


def start(body: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    "body",
    ["fence.put_up(0.05); time.sleep(50)", "fence.put_up(-1); time.sleep(50)", "fence.put_up(0.05)\nwhile True: pass"],
    ids=["waits", "is late already", "is busy"],
)
def test_a_process_that_is_not_done_in_time_is_ended(body: str) -> None:
    said, complained = start(body).communicate(timeout=30)
    assert said == ""
    assert '"msg": "the lease is about to expire and this process has not ended' in complained


def test_it_has_the_exit_code_of_an_error() -> None:
    process = start("fence.put_up(0.01); time.sleep(50)")
    process.communicate(timeout=30)
    assert process.returncode == 1


def test_a_fence_that_is_taken_down_in_time_does_nothing() -> None:
    process = start("fence.put_up(50); fence.put_up(0.5); fence.take_down(); time.sleep(1)")
    assert process.communicate(timeout=30)[0] == "still alive\n"
    assert process.returncode == 0


def test_a_process_that_was_stopped_does_not_go_on_after_its_time() -> None:
    process = start("import os, signal; fence.put_up(0.3); os.kill(os.getpid(), signal.SIGSTOP)")
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGCONT)
    said, _ = process.communicate(timeout=30)
    assert (said, process.returncode) == ("", 1)
