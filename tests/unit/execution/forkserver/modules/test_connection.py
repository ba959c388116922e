"""Which of Ansible's commands are a module for this very interpreter, and which are not."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from reconcile_runner.execution.forkserver.modules.connection import Command, parse_command

PAYLOAD = b"print()"


def pipelined(script: str) -> str:
    return f"/bin/sh -c {shlex.quote(f'{script} && sleep 0')}"


def test_this_interpreter_is_recognised() -> None:
    assert parse_command(pipelined(sys.executable), PAYLOAD) == Command({}, PAYLOAD)


def test_another_name_of_this_interpreter_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("python", "python3"):
        (tmp_path / name).symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert parse_command(pipelined(str(tmp_path / "python3")), PAYLOAD) is not None


def test_the_environment_of_the_task_is_taken_over() -> None:
    command = parse_command(pipelined(f"A=1 B='two words' {sys.executable}"), PAYLOAD)
    assert command == Command({"A": "1", "B": "two words"}, PAYLOAD)


@pytest.mark.parametrize(
    "script",
    [
        "/usr/bin/python-of-another-environment",
        f"PYTHONPATH=/x {sys.executable}",
        f"LANG=C {sys.executable}",
        f"LD_PRELOAD=/x.so {sys.executable}",
        f"sudo {sys.executable}",
        f"{sys.executable} -v",
        "",
    ],
)
def test_anything_else_goes_the_ordinary_way(script: str) -> None:
    assert parse_command(pipelined(script), PAYLOAD) is None


@pytest.mark.parametrize(
    "command",
    [
        "/bin/bash -c 'python && sleep 0'",
        "/bin/sh -c 'unclosed",
        [sys.executable],
    ],
    ids=str,
)
def test_a_command_of_another_shape_goes_the_ordinary_way(command: object) -> None:
    assert parse_command(command, PAYLOAD) is None


def test_a_command_without_input_is_no_module() -> None:
    assert parse_command(pipelined(sys.executable), None) is None


def test_the_shape_of_core_2_21_is_recognised() -> None:
    assert parse_command(f"/bin/sh -c {shlex.quote(sys.executable)}", PAYLOAD) == Command({}, PAYLOAD)
    assert parse_command(f"/bin/sh -c {shlex.quote(f'A=1 {sys.executable}')}", PAYLOAD) == Command({"A": "1"}, PAYLOAD)
