"""Where the engine can be used, and what it says where it cannot."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest

from reconcile_runner.errors import ConfigError, ExecutionError
from reconcile_runner.execution.forkserver import engine as module
from reconcile_runner.execution.forkserver.engine import ForkserverEngine, interpreter_of, unsupported
from reconcile_runner.execution.job import Job
from reconcile_runner.execution.pool import Engine


def test_it_can_be_used_here() -> None:
    assert unsupported() is None


def test_an_ansible_that_it_is_not_tested_with_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "version", lambda _name: "2.22.0")
    assert unsupported() == "it is tested with ansible-core 2.19, 2.20, 2.21, found 2.22.0"


def test_a_release_candidate_is_not_one_that_it_is_tested_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "version", lambda _name: "2.21.0rc1")
    assert "found 2.21.0rc1" in str(unsupported())


def test_another_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert unsupported() == "it needs Linux, this is darwin"


def test_a_kernel_that_cannot_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int) -> int:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert str(unsupported()).endswith("of the kernel: Function not implemented")


def test_an_ansible_of_another_interpreter_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "ansible-playbook"
    program.write_text("#!/usr/bin/other-python\n", encoding="utf-8")
    program.chmod(0o700)
    monkeypatch.setattr(module, "ansible_playbook", lambda: str(program))
    assert unsupported() == f"{program} does not run in {sys.executable}"


def test_a_directory_from_which_nothing_can_be_started_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    monkeypatch.setattr(module, "ansible_playbook", lambda: "no-such-program")
    assert tempfile.gettempdir() in str(unsupported())


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
