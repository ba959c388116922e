from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reconcile_devcluster.binaries import cache
from tests.support.paths import REPOSITORY


def test_the_cache_lies_under_xdg_cache_home(cache_home: Path) -> None:
    assert cache.cache_root() == cache_home / "ansible-reconcile-runner"


@pytest.mark.parametrize("value", ["", "relative/path"], ids=["empty", "relative"])
def test_an_invalid_xdg_cache_home_is_ignored(value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_root() == tmp_path / ".cache" / "ansible-reconcile-runner"


def test_a_new_file_appears_whole_and_executable(tmp_path: Path) -> None:
    with cache.new_file(tmp_path / "program") as temporary:
        temporary.write_text("text")
        assert not (tmp_path / "program").exists()
    assert (tmp_path / "program").read_text() == "text"
    assert (tmp_path / "program").stat().st_mode & 0o777 == 0o755
    assert [path.name for path in tmp_path.glob("*program*")] == ["program"]


def _fail_while_writing(path: Path) -> None:
    with cache.new_file(path) as temporary:
        temporary.write_text("half")
        raise OSError("disk full")


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("old")
    with pytest.raises(OSError, match="disk full"):
        _fail_while_writing(tmp_path / "program")
    assert (tmp_path / "program").read_text() == "old"
    assert [path.name for path in tmp_path.glob("*program*")] == ["program"]


_CRITICAL_SECTION = """
import pathlib, sys
from reconcile_devcluster.binaries.cache import exclusive
entry, log = map(pathlib.Path, sys.argv[1:])
with exclusive(entry):
    with log.open("a") as file:
        for word in ("in", "out"):
            file.write(word + "\\n")
            file.flush()
            print(word, flush=True)
"""


def test_only_one_process_at_a_time_fills_an_entry(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _CRITICAL_SECTION, str(tmp_path / "entry"), str(tmp_path / "log")]
    processes = [subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        process.communicate(timeout=30)
        assert process.returncode == 0
    assert (tmp_path / "log").read_text().split() == ["in", "out"] * 4


_HOLD = """
import pathlib, sys
from reconcile_devcluster.binaries.cache import exclusive
with exclusive(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lock_of_a_killed_process_is_free_again(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(tmp_path / "entry")]
    holder = subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    holder.kill()
    holder.communicate()
    with cache.exclusive(tmp_path / "entry"):
        pass
