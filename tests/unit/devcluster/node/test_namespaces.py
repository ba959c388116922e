from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reconcile_devcluster.node import namespaces
from reconcile_devcluster.process import ProcessIdentity, wait
from tests.support.programs import SHELL, SLEEPER

SCRIPT = namespaces.__file__


def in_a_child(body: str) -> subprocess.Popen[str]:
    """Run code with the module, in a process of its own: it forks and sets signal handlers."""
    program = f"import sys; sys.path.insert(0, {str(Path(SCRIPT).parent)!r})\nimport os, signal, namespaces\n{body}"
    return subprocess.Popen([sys.executable, "-c", program], text=True, stdout=subprocess.PIPE)


def wait_until_caught(pid: int, number: signal.Signals) -> None:
    """Wait until a process has a handler for a signal; it may be slower than the child it forked."""
    for _ in range(3000):
        (caught,) = re.findall(r"^SigCgt:\s+(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        if int(caught, 16) >> (number - 1) & 1:
            return
        time.sleep(0.01)
    pytest.fail(f"{number.name} is not caught")


@pytest.mark.parametrize(("program", "code"), [("exit 7", 7), ("kill -KILL $$", 128 + 9)])
def test_the_exit_code_is_that_of_the_program(program: str, code: int) -> None:
    body = (
        f"command = [{SHELL!r}, '-c', {program!r}]\nchild = namespaces._fork(lambda: os.execv(command[0], command))\n"
    )
    with in_a_child(body + "sys.exit(namespaces._wait_for(child, signal.SIGTERM))") as process:
        assert process.wait(timeout=30) == code


def test_sigterm_is_handed_on() -> None:
    body = f"""
command = [{SHELL!r}, "-c", "trap 'exit 3' TERM; echo ready; while :; do :; done"]
child = namespaces._fork(lambda: os.execv(command[0], command))
sys.exit(namespaces._wait_for(child, signal.SIGTERM))
"""
    with in_a_child(body) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        wait_until_caught(process.pid, signal.SIGTERM)
        process.terminate()
        assert process.wait(timeout=30) == 3


def test_the_program_ends_with_whoever_waits_for_it() -> None:
    body = f"""
child = namespaces._fork(lambda: os.execv({SLEEPER[0]!r}, {SLEEPER!r}))
print(child, flush=True)
namespaces._wait_for(child, signal.SIGTERM)
"""
    with in_a_child(body) as process:
        assert process.stdout is not None
        child = ProcessIdentity.of(int(process.stdout.readline()))
        os.kill(process.pid, signal.SIGKILL)
        assert wait(child, timeout=30)


def test_what_fails_before_the_program_starts_is_said() -> None:
    body = """
child = namespaces._fork(lambda: os.execvp("/nowhere", ["/nowhere"]))
sys.exit(namespaces._wait_for(child, signal.SIGTERM))
"""
    with in_a_child(f"sys.stderr = sys.stdout\n{body}") as process:
        assert process.communicate(timeout=30)[0].startswith("FileNotFoundError")
        assert process.returncode == 1


def test_wrong_usage_is_refused() -> None:
    answer = subprocess.run([sys.executable, "-I", "-S", SCRIPT], capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "usage" in answer.stderr
