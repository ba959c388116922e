from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from reconcile_devcluster import process
from reconcile_devcluster.process import ProcessIdentity
from tests.support.paths import REPOSITORY

SLEEPER = "import sys; print('up', flush=True); sys.stdin.read()"
DEAF = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); sys.stdin.read()"


def _start(code: str) -> subprocess.Popen[bytes]:
    """Start a Python that waits until its stdin is closed."""
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    return child


def _finish(child: subprocess.Popen[bytes]) -> int:
    child.communicate()
    return child.returncode


def test_our_own_process_is_alive() -> None:
    assert ProcessIdentity.of(os.getpid()).is_alive()


def test_an_ended_process_is_not_alive_even_before_it_is_reaped() -> None:
    child = _start(SLEEPER)
    identity = ProcessIdentity.of(child.pid)
    assert identity.is_alive()
    assert child.stdin is not None
    child.stdin.close()
    assert process.wait(identity, timeout=30)
    assert not identity.is_alive()
    child.stdin = None
    _finish(child)
    with pytest.raises(ProcessLookupError):
        ProcessIdentity.of(child.pid)


@pytest.mark.parametrize("changed", ["start_ticks", "boot_id"])
def test_a_recycled_pid_is_neither_alive_nor_signalled(changed: str) -> None:
    child = _start(SLEEPER)
    real = ProcessIdentity.of(child.pid)
    earlier = (
        replace(real, start_ticks=real.start_ticks - 1) if changed == "start_ticks" else replace(real, boot_id="x")
    )
    assert not earlier.is_alive()
    assert process.stop(earlier, grace=5)
    assert real.is_alive()
    assert _finish(child) == 0


def test_stop_ends_a_process_by_sigterm() -> None:
    child = _start(SLEEPER)
    assert process.stop(ProcessIdentity.of(child.pid), grace=30)
    assert not Path(f"/proc/{child.pid}").exists()
    _finish(child)


def test_stop_kills_a_process_that_ignores_sigterm() -> None:
    child = _start(DEAF)
    identity = ProcessIdentity.of(child.pid)
    assert not process.stop(identity, grace=0.05)
    assert not identity.is_alive()
    _finish(child)


def test_stopping_what_is_gone_is_fine() -> None:
    child = _start(SLEEPER)
    identity = ProcessIdentity.of(child.pid)
    _finish(child)
    assert process.stop(identity, grace=1)


def test_waiting_gives_up_at_its_timeout() -> None:
    child = _start(SLEEPER)
    assert not process.wait(ProcessIdentity.of(child.pid), timeout=0.01)
    _finish(child)


def test_a_name_with_parentheses_does_not_confuse_the_start_time(tmp_path: Path) -> None:
    odd = tmp_path / "a) R 1 (b"
    odd.symlink_to(sys.executable)
    child = subprocess.Popen([str(odd), "-c", SLEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    ours, theirs = ProcessIdentity.of(os.getpid()), ProcessIdentity.of(child.pid)
    assert theirs.start_ticks >= ours.start_ticks
    _finish(child)


def test_spawn_writes_output_to_the_log_and_detaches(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd(), os.getsid(0) == os.getpid(), sys.stdin.read() == '')"
    child = process.spawn([sys.executable, "-c", code], cwd=tmp_path, log=tmp_path / "log", dies_with_starter=False)
    assert child.wait(30) == 0
    assert (tmp_path / "log").read_text() == f"{tmp_path} True True\n"


_STARTER = """
import pathlib, sys
from reconcile_devcluster.process import spawn
child = spawn([sys.executable, "-c", "import time; time.sleep(600)"], cwd=pathlib.Path("/"),
              log=pathlib.Path(sys.argv[1]), dies_with_starter=True)
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_a_program_dies_with_its_killed_starter(tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", _STARTER, str(tmp_path / "log")],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert starter.stdout is not None
    program = ProcessIdentity.of(int(starter.stdout.readline()))
    assert program.is_alive()
    # Until the shim has become the program, its starter's death may find it without the request: wait for the program.
    command_line = Path(f"/proc/{program.pid}/cmdline")
    while b"die_with_parent" in command_line.read_bytes():
        pass
    starter.kill()
    assert process.wait(program, timeout=30)
    starter.communicate()
