"""Where the engine can be used, and what it says where it cannot."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from reconcile_runner.errors import ConfigError, ExecutionError
from reconcile_runner.execution.forkserver.engine import ForkserverEngine, interpreter_of, unsupported
from reconcile_runner.execution.installation import SUPPORTED_CORES, Installation, own_installation
from reconcile_runner.execution.job import Job
from reconcile_runner.execution.pool import Engine

OWN = own_installation()


def test_it_can_be_used_here() -> None:
    assert unsupported(OWN) is None


@pytest.mark.parametrize("core", SUPPORTED_CORES)
def test_every_supported_ansible_can_be_used(core: str) -> None:
    assert unsupported(replace(OWN, core=f"{core}.3")) is None


def test_an_ansible_that_it_is_not_tested_with_is_named() -> None:
    found = unsupported(replace(OWN, core="2.22.0"))
    assert found == "it is tested with ansible-core 2.16, 2.17, 2.18, 2.19, 2.20, 2.21, found 2.22.0"


def test_a_release_candidate_is_not_one_that_it_is_tested_with() -> None:
    assert "found 2.21.0rc1" in str(unsupported(replace(OWN, core="2.21.0rc1")))


def test_a_missing_ansible_is_told() -> None:
    assert unsupported(replace(OWN, core="")) == "ansible-core is not installed beside this Python"


def test_a_python_that_it_is_not_tested_with_is_named() -> None:
    assert unsupported(replace(OWN, python=(3, 14))) == "it is tested with Python 3.11, 3.12, 3.13, found 3.14"


def test_another_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert unsupported(OWN) == "it needs Linux, this is darwin"


def test_a_kernel_that_cannot_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert str(unsupported(OWN)).endswith("of the kernel: Function not implemented")


def test_an_ansible_of_another_interpreter_is_named(tmp_path: Path) -> None:
    program = tmp_path / "ansible-playbook"
    program.write_text("#!/usr/bin/other-python\n", encoding="utf-8")
    program.chmod(0o700)
    assert unsupported(replace(OWN, program=str(program))) == f"{program} does not run in {sys.executable}"


def test_another_python_that_can_load_its_code_is_taken(tmp_path: Path) -> None:
    assert unsupported(environment_with(tmp_path, f'exec "{sys.executable}" "$@"')) is None


def test_another_python_that_cannot_load_its_code_is_named_with_the_reason(tmp_path: Path) -> None:
    other = environment_with(tmp_path, "echo 'Traceback'; echo 'SyntaxError: too old' >&2; exit 1")
    assert unsupported(other) == f"its code cannot be loaded in {other.interpreter}: SyntaxError: too old"


def environment_with(directory: Path, interpreter: str) -> Installation:
    """Return another environment, whose interpreter is a shell script."""
    python, program = directory / "python3", directory / "ansible-playbook"
    python.write_text(f"#!/bin/sh\n{interpreter}\n", encoding="utf-8")
    program.write_text(f"#!{python}\n", encoding="utf-8")
    for path in (python, program):
        path.chmod(0o700)
    return Installation(str(program), "2.18.6", (3, 11), str(python), is_own=False)


def test_a_directory_from_which_nothing_can_be_started_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    assert tempfile.gettempdir() in str(unsupported(OWN))


def test_the_interpreter_is_read_from_the_first_line(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/some/python3 \nimport x\n", encoding="utf-8")
    assert interpreter_of(str(script)) == "/some/python3"
    script.write_text("import x\n", encoding="utf-8")
    assert interpreter_of(str(script)) is None


async def test_a_missing_program_is_told(tmp_path: Path) -> None:
    engine: Engine = ForkserverEngine(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="nothing was not found, or cannot be executed"):
        await engine.start()
    await engine.stop()


async def test_an_engine_that_was_not_started_runs_nothing(tmp_path: Path) -> None:
    engine = ForkserverEngine(tmp_path / "nothing")
    with pytest.raises(ExecutionError, match="has not been started"):
        await engine.run(Job("1", tmp_path, Path("/play.yml"), None), lambda _event: None)
