"""What another environment's ``ansible-playbook`` says of itself, and what is told where it cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconcile_runner.errors import ConfigError
from reconcile_runner.execution.installation import (
    SUPPORTED_CORES,
    Installation,
    other_installation,
    own_installation,
)
from tests.support import cores
from tests.support.programs import another_playbook as program


def script(directory: Path, text: str) -> Path:
    path = directory / "ansible-playbook"
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o700)
    return path


def test_it_is_asked_for_its_versions_and_its_python(tmp_path: Path) -> None:
    found = other_installation(program(tmp_path))
    assert found == Installation(
        str(tmp_path / "ansible-playbook"), "2.18.12", (3, 12), "/opt/ansible/bin/python3", is_own=False
    )


def test_a_relative_path_counts_from_where_the_operator_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert other_installation(Path("ansible-playbook")).program == str(tmp_path / "ansible-playbook")


@pytest.mark.parametrize("core", [*(f"{core}.0" for core in SUPPORTED_CORES), "2.21.0rc1"])
def test_every_supported_core_is_taken(tmp_path: Path, core: str) -> None:
    assert other_installation(program(tmp_path, core)).core == core


@pytest.mark.parametrize("core", ["2.15.13", "2.22.0", "3.0.0"])
def test_an_older_or_newer_core_is_refused_with_those_that_are_expected(tmp_path: Path, core: str) -> None:
    path = program(tmp_path, core)
    with pytest.raises(ConfigError) as refused:
        other_installation(path)
    assert str(refused.value) == f"--ansible-playbook: {path}: found ansible-core {core}, expected 2.16 to 2.21"


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="/nothing was not found, expected the program ansible-playbook"):
        other_installation(tmp_path / "nothing")


def test_a_directory_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory, expected the program ansible-playbook"):
        other_installation(tmp_path)


def test_a_file_that_cannot_be_executed_is_told(tmp_path: Path) -> None:
    path = program(tmp_path)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="cannot be executed, expected the program ansible-playbook"):
        other_installation(path)


def test_a_program_without_its_interpreter_is_told(tmp_path: Path) -> None:
    path = program(tmp_path)
    path.write_text("#!/no/such/python3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be started: No such file or directory"):
        other_installation(path)


def test_another_program_is_told_with_what_it_printed(tmp_path: Path) -> None:
    path = script(tmp_path, "echo Python 3.12.4; echo more")
    with pytest.raises(
        ConfigError, match=r"found 'Python 3\.12\.4', expected the versions of ansible-core and its Python"
    ):
        other_installation(path)


def test_a_program_that_fails_is_told_with_its_last_line(tmp_path: Path) -> None:
    path = script(tmp_path, "echo Traceback >&2; echo 'ImportError: no jinja2' >&2; exit 3")
    with pytest.raises(ConfigError, match="--version ended with exit code 3: ImportError: no jinja2"):
        other_installation(path)


def test_its_python_is_known_by_any_path_to_its_directory(tmp_path: Path) -> None:
    (tmp_path / "opt-2.18").mkdir()
    (tmp_path / "opt-2.18" / "python3").touch()
    (tmp_path / "opt").symlink_to("opt-2.18")
    made = Installation("ansible-playbook", "2.18.0", (3, 11), str(tmp_path / "opt-2.18" / "python3"), is_own=False)
    assert made.is_of(str(tmp_path / "opt" / "python3"))
    assert not made.is_of("/usr/bin/python3")


def test_the_operators_own_is_known_without_asking() -> None:
    assert own_installation().is_own


def test_the_tests_run_on_every_supported_core() -> None:
    assert tuple(cores.SUPPORTED) == SUPPORTED_CORES
