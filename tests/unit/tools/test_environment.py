from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools import environment
from tools.environment import StepFailedError, locked_environment


class Steps:
    """Takes the place of `run_step`: writes the environment's directory, and fails where it is told to."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.failing = ""

    def __call__(self, what: str, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.taken.append(what)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True, exist_ok=True)
        return subprocess.CompletedProcess(command, what == self.failing, stdout="no such index\n")


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Steps:
    made = Steps()
    monkeypatch.setattr(environment, "run_step", made)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "REQUIREMENTS", tmp_path)
    (tmp_path / "report.txt").write_text("a==1\n")
    return made


def test_an_environment_is_made_once(steps: Steps, tmp_path: Path) -> None:
    assert locked_environment("report") == tmp_path / ".venvs" / "report"
    assert locked_environment("report") == tmp_path / ".venvs" / "report"
    assert steps.taken == ["creating .venvs/report", "installing report.txt"]


def test_other_pins_make_it_again(steps: Steps, tmp_path: Path) -> None:
    locked_environment("report")
    (tmp_path / "report.txt").write_text("a==2\n")
    locked_environment("report")
    assert steps.taken == ["creating .venvs/report", "installing report.txt"] * 2


@pytest.mark.parametrize("failing", ["creating .venvs/report", "installing report.txt"])
def test_a_step_that_fails_says_what_it_printed_and_is_taken_again(steps: Steps, failing: str) -> None:
    steps.failing = failing
    with pytest.raises(StepFailedError, match="no such index"):
        locked_environment("report")
    steps.failing = ""
    locked_environment("report")
    assert steps.taken[-1] == "installing report.txt"
