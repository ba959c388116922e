from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from reconcile_runner.execution import launcherclient
from reconcile_runner.execution.launcherclient import LauncherClient, LauncherGoneError


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_a_launcher_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    launcher = await LauncherClient.start(tmp_path / "tmp")
    await launcher.end()
    assert not exists(launcher.pid)
    await launcher.end()


async def test_a_launcher_that_is_stopped_is_ended_all_the_same(tmp_path: Path) -> None:
    launcher = await LauncherClient.start(tmp_path / "tmp")
    os.kill(launcher.pid, signal.SIGSTOP)
    await launcher.end()
    assert not exists(launcher.pid)


async def test_a_launcher_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ansible_runner.py").write_text("raise ImportError('ansible_runner is broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(LauncherGoneError, match=r"ended with exit code 1: ImportError: ansible_runner is broken"):
        await LauncherClient.start(tmp_path / "tmp")


async def test_a_launcher_that_cannot_be_spawned_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    with pytest.raises(LauncherGoneError, match=r"cannot be started: .*No such file or directory"):
        await LauncherClient.start(tmp_path / "tmp")


async def test_a_terminals_interrupt_does_not_reach_a_launcher(tmp_path: Path) -> None:
    launcher = await LauncherClient.start(tmp_path / "tmp")
    assert os.getsid(launcher.pid) == launcher.pid
    await launcher.end()


async def test_the_directory_for_temporary_files_is_the_launchers_alone_and_goes_with_it(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    launcher = await LauncherClient.start(temporary)
    assert stat.S_IMODE(temporary.stat().st_mode) == 0o700
    assert f"TMPDIR={temporary}".encode() in Path(f"/proc/{launcher.pid}/environ").read_bytes().split(b"\0")
    (temporary / "left").mkdir()
    os.kill(launcher.pid, signal.SIGKILL)
    await launcher.end()
    assert not temporary.exists()


async def test_a_launcher_whose_directory_cannot_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(LauncherGoneError, match=r"cannot be started: .*No such file or directory: .*/missing/tmp"):
        await LauncherClient.start(tmp_path / "missing" / "tmp")


@pytest.mark.parametrize(
    ("body", "decoded"),
    [(b'{"a": [1]}', {"a": [1]}), (b'{"a": Infinity}', {"a": float("inf")})],
    ids=["json", "python"],
)
def test_whatever_python_writes_as_json_is_read(body: bytes, decoded: object) -> None:
    assert launcherclient._decode(body) == decoded
