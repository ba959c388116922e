from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from runner.execution import launcherprocess
from runner.execution.launcherprocess import LauncherGoneError, LauncherProcess


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_a_launcher_ends_when_it_is_asked_to() -> None:
    launcher = await LauncherProcess.start()
    await launcher.end()
    assert not exists(launcher.pid)
    await launcher.end()


async def test_a_launcher_that_is_stopped_is_ended_all_the_same() -> None:
    launcher = await LauncherProcess.start()
    os.kill(launcher.pid, signal.SIGSTOP)
    await launcher.end()
    assert not exists(launcher.pid)


async def test_a_launcher_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ansible_runner.py").write_text("raise ImportError('ansible_runner is broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(LauncherGoneError, match=r"ended with exit code 1: ImportError: ansible_runner is broken"):
        await LauncherProcess.start()


async def test_a_launcher_that_cannot_be_spawned_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    with pytest.raises(LauncherGoneError, match=r"cannot be started: .*No such file or directory"):
        await LauncherProcess.start()


async def test_a_terminals_interrupt_does_not_reach_a_launcher() -> None:
    launcher = await LauncherProcess.start()
    assert os.getsid(launcher.pid) == launcher.pid
    await launcher.end()


@pytest.mark.parametrize(
    ("body", "decoded"),
    [(b'{"a": [1]}', {"a": [1]}), (b'{"a": Infinity}', {"a": float("inf")})],
    ids=["json", "python"],
)
def test_whatever_python_writes_as_json_is_read(body: bytes, decoded: object) -> None:
    assert launcherprocess._decode(body) == decoded
