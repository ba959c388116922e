from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reconcile_runner.errors import ConfigError
from reconcile_runner.execution.rundir import RunDir, memory_mounts, remove_if_dead

HOLDER = """
import sys
from pathlib import Path
from reconcile_runner.execution.rundir import RunDir
held = RunDir.open(Path(sys.argv[1]) if sys.argv[1] else None, {})
print(held.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the system's directory for temporary files be an own one, and no file system in memory have room."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("reconcile_runner.execution.rundir._MIN_FREE_BYTES", 2**62)
    return tmp_path


def test_a_chosen_directory_is_used_as_it_is(tmp_path: Path) -> None:
    chosen = tmp_path / "a" / "b"
    held = RunDir.open(chosen)
    assert held.path == chosen
    assert stat.S_IMODE(chosen.stat().st_mode) == 0o700
    held.close()
    assert chosen.is_dir()
    RunDir.open(chosen).close()


def test_a_directory_that_another_operator_uses_is_refused(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(ConfigError, match="another operator is using it"):
            RunDir.open(tmp_path)
    RunDir.open(tmp_path).close()


def test_a_directory_that_cannot_be_made_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file/dir: cannot be used: Not a directory"):
        RunDir.open(tmp_path / "file" / "dir")


def test_without_a_choice_a_private_one_is_made_and_removed(temp: Path) -> None:
    held = RunDir.open(None, {})
    assert held.path.parent == temp
    assert stat.S_IMODE(held.path.stat().st_mode) == 0o700
    (held.path / "left").write_text("x")
    held.close()
    assert list(temp.iterdir()) == []


def test_what_a_dead_operator_left_is_removed_and_what_a_living_one_has_is_not(temp: Path) -> None:
    dead = temp / "reconcile-runner-dead"
    dead.mkdir()
    (dead / "secret").touch()
    foreign = temp / "something-else"
    foreign.mkdir()
    living = RunDir.open(None, {})
    held = RunDir.open(None, {})
    assert {path.name for path in temp.iterdir()} == {living.path.name, held.path.name, "something-else"}
    held.close()
    living.close()


def test_one_directory_is_removed_only_when_its_operator_is_dead(temp: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, ""], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        path = Path(other.stdout.readline().decode().strip())
        remove_if_dead(path)
        assert path.is_dir()
        other.kill()
        other.wait()
        remove_if_dead(path)
    assert not path.exists()


def test_a_directory_that_is_no_operators_is_left_alone(temp: Path) -> None:
    named = temp / "reconcile-runner-not-locked"
    named.mkdir()
    locked = temp / "data"
    RunDir.open(locked).close()
    for path in (named, locked, temp / "missing"):
        remove_if_dead(path)
    assert named.is_dir()
    assert locked.is_dir()


def test_memory_with_room_is_preferred(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("reconcile_runner.execution.rundir.memory_mounts", lambda _text: frozenset({"/"}))
    monkeypatch.setattr("reconcile_runner.execution.rundir.Path.is_mount", lambda path: str(path) == "/")
    held = RunDir.open(None, {"XDG_RUNTIME_DIR": str(tmp_path)})
    assert held.path.parent == tmp_path
    held.close()


def test_a_runtime_directory_that_is_not_in_memory_is_not_used(temp: Path) -> None:
    runtime = temp / "runtime"
    runtime.mkdir()
    held = RunDir.open(None, {"XDG_RUNTIME_DIR": str(runtime)})
    assert held.path.parent == temp
    held.close()


def test_mounts_in_memory_are_read_from_the_kernels_list() -> None:
    text = (
        "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
        "30 22 0:26 / /dev/shm rw,nosuid shared:4 - tmpfs tmpfs rw,size=65536k\n"
        "31 22 0:27 / /run rw - tmpfs tmpfs rw\n"
        "broken\n"
    )
    assert memory_mounts(text) == {"/dev/shm", "/run"}


def test_the_lock_is_not_inherited(tmp_path: Path) -> None:
    held = RunDir.open(tmp_path)
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(sorted(os.listdir('/proc/self/fd')))"],
        capture_output=True, text=True, check=True, close_fds=False,
    )  # fmt: skip
    assert str(held._lock) not in child.stdout
    held.close()
    assert os.getpid()
