from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools import pythons
from tools.environment import StepFailedError
from tools.pythons import NoInterpreterError, find, provide


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the search a home and a PATH of its own, and nothing that says where managers keep their Pythons."""
    for name in ("PYENV_ROOT", "ASDF_DATA_DIR", "MISE_DATA_DIR", "UV_PYTHON_INSTALL_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def interpreter(path: Path, code: int = 0) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nexit {code}\n", encoding="utf-8")
    path.chmod(0o700)
    return str(path)


def test_an_interpreter_on_the_path_is_found_first(home: Path) -> None:
    interpreter(home / ".pyenv/versions/3.13.1/bin/python3.13")
    expected = interpreter(home / "bin/python3.13")
    assert find(13) == expected


@pytest.mark.parametrize(
    "place",
    [
        ".pyenv/versions/3.13.1/bin/python3.13",
        ".asdf/installs/python/3.13.1/bin/python3.13",
        ".local/share/mise/installs/python/3.13.1/bin/python3.13",
        ".local/share/uv/python/cpython-3.13.1-linux-x86_64-gnu/bin/python3.13",
        ".cache/ansible-reconcile-runner/pythons/built-3.13.1/bin/python3.13",
        ".cache/ansible-reconcile-runner/pythons/cpython-3.13.1-linux-x86_64-gnu/bin/python3.13",
    ],
)
def test_the_interpreters_of_version_managers_and_our_own_are_found(home: Path, place: str) -> None:
    expected = interpreter(home / place)
    assert find(13) == expected
    assert find(12) is None


def test_a_manager_may_keep_them_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(home / "elsewhere"))
    expected = interpreter(home / "elsewhere/versions/3.12.9/bin/python3.12")
    assert find(12) == expected


def test_a_shim_of_an_interpreter_that_is_not_installed_is_passed_over(home: Path) -> None:
    interpreter(home / "bin/python3.13", code=127)
    expected = interpreter(home / ".pyenv/versions/3.13.1/bin/python3.13")
    assert find(13) == expected


def test_what_is_there_is_not_provided(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pythons, "_download", None)
    expected = interpreter(home / "bin/python3.13")
    assert provide(13) == expected


def test_it_is_downloaded_else_built(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def download(_minor: int) -> None:
        tried.append("download")
        raise StepFailedError("no network")

    def build(_minor: int) -> None:
        tried.append("build")
        interpreter(pythons.cache() / "built-3.13.9/bin/python3.13")

    monkeypatch.setattr(pythons, "_download", download)
    monkeypatch.setattr(pythons, "_build", build)
    assert provide(13) == str(home / ".cache/ansible-reconcile-runner/pythons/built-3.13.9/bin/python3.13")
    assert tried == ["download", "build"]
    assert provide(13)
    assert tried == ["download", "build"], "the second time it is there"


def test_what_nobody_can_provide_is_told_with_each_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_minor: int) -> None:
        raise StepFailedError("no network")

    monkeypatch.setattr(pythons, "_download", refuse)
    with pytest.raises(NoInterpreterError) as told:
        provide(12)
    assert str(told.value) == (
        "no Python 3.12 on PATH or of a version manager, and none can be provided: "
        "no network; Debian has no sources of Python 3.12"
    )


class Apt:
    """Takes the place of `run_step`: writes what each program would."""

    def __init__(self, suite: str) -> None:
        self.suite = suite
        self.lists: list[str] = []
        self.called: list[list[str]] = []

    def __call__(self, _what: str, command: Sequence[str], _timeout: float) -> subprocess.CompletedProcess[str]:
        self.called.append(list(command))
        listed = next((word for word in command if word.startswith("Dir::Etc::sourcelist=")), "")
        if listed:
            self.lists.append(Path(listed.partition("=")[2]).read_text())
        if "source" in command and self.suite in self.lists[-1]:
            (Path(command[4]) / "python3.13_3.13.5.orig.tar.xz").touch()
        failed = "source" in command and self.suite not in self.lists[-1]
        return subprocess.CompletedProcess(command, 100 if failed else 0, stdout="E: Unable to find a source package\n")


def test_sources_come_from_the_machines_mirror_by_lists_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt = Apt("forky")
    monkeypatch.setattr(pythons, "run_step", apt)
    monkeypatch.setattr(pythons, "_mirror", lambda: ("http://mirror.example/debian", "/keys.gpg"))
    place = tmp_path / "place"
    place.mkdir()
    assert pythons._sources(13, ("trixie", "forky"), place).name == "python3.13_3.13.5.orig.tar.xz"
    assert apt.lists[0] == "deb-src [signed-by=/keys.gpg] http://mirror.example/debian trixie main\n"
    assert apt.lists[-1] == "deb-src [signed-by=/keys.gpg] http://mirror.example/debian forky main\n"
    assert all("Dir::Etc::sourceparts=-" in command for command in apt.called)
    assert os.listdir(tmp_path) == ["place"]  # noqa: PTH208 - names


def test_a_suite_without_the_sources_is_told_with_the_last_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pythons, "run_step", Apt("sid"))
    monkeypatch.setattr(pythons, "_mirror", lambda: ("http://mirror.example/debian", ""))
    with pytest.raises(StepFailedError, match="Unable to find a source package"):
        pythons._sources(13, ("trixie",), tmp_path)
