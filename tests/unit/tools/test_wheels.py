from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools import environment, wheels
from tools.environment import REQUIREMENTS, StepFailedError
from tools.lock import CORES


class Pip:
    """Takes the place of `run_step`: makes the directory, and fails where it is told to."""

    def __init__(self) -> None:
        self.calls: list[Sequence[str]] = []
        self.code = 0

    def __call__(self, _what: str, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.calls.append(command)
        Path(command[-1]).mkdir(parents=True)
        return subprocess.CompletedProcess(command, self.code, stdout="no such index\n")


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pip:
    made = Pip()
    monkeypatch.setattr(wheels, "run_step", made)
    # The lock of a checkout's setup lies below its root too.
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(wheels, "ROOT", tmp_path)
    monkeypatch.setattr(wheels, "REQUIREMENTS", tmp_path)
    (tmp_path / "wheel-2.20.txt").write_text("ansible==1\n")
    return made


def test_a_wheel_is_got_once_and_alone_and_by_its_hash(pip: Pip, tmp_path: Path) -> None:
    for _ in range(2):
        assert wheels.provide("2.20", "python") == tmp_path / ".venvs" / "wheel-2.20"
    [command] = pip.calls
    assert command[0] == "python"
    assert {"--no-deps", "--require-hashes", str(tmp_path / "wheel-2.20.txt")} < set(command)


def test_another_pin_gets_it_again(pip: Pip, tmp_path: Path) -> None:
    wheels.provide("2.20", "python")
    (tmp_path / "wheel-2.20.txt").write_text("ansible==2\n")
    wheels.provide("2.20", "python")
    assert len(pip.calls) == 2


def test_one_that_cannot_be_had_says_why_and_is_tried_again(pip: Pip) -> None:
    pip.code = 1
    with pytest.raises(StepFailedError, match=r"wheel-2\.20\.txt: could not be installed:\nno such index"):
        wheels.provide("2.20", "python")
    pip.code = 0
    assert wheels.provide("2.20", "python").is_dir()


def test_each_core_has_a_wheel_whose_release_is_pinned() -> None:
    for core in CORES:
        [line] = [line for line in (REQUIREMENTS / f"wheel-{core}.txt").read_text().splitlines() if "==" in line]
        major = int(core.removeprefix("2.")) - 7
        assert line.startswith(f"ansible=={major}."), core
