"""No unit test reaches the machine: each way out is refused, and fails the test even where the refusal is handled."""

from __future__ import annotations

import contextlib
import importlib
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import sealed
from tests.support.paths import REPOSITORY
from tests.support.programs import SHELL

OUTSIDE = Path(__file__).resolve().anchor + "opt"


def connect(host: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect((host, 9))


WAYS_OUT: dict[str, Callable[[], object]] = {
    "imports ansible": lambda: importlib.import_module("ansible"),
    "imports ansible_runner": lambda: importlib.import_module("ansible_runner.utils"),
    "opens /opt": lambda: list(Path(OUTSIDE).iterdir()),
    "opens /etc/hosts": lambda: Path("/etc/hosts").read_text(),
    f"opens {REPOSITORY}/.git": lambda: list((REPOSITORY / ".git").iterdir()),
    "opens /no/such/file": lambda: Path("/no/such/file").read_text(),
    "starts /usr/bin/env": lambda: subprocess.run(["/usr/bin/env"], check=False),
    "talks to 192.0.2.1": lambda: connect("192.0.2.1"),
    "talks to example.com": lambda: socket.getaddrinfo("example.com", 443),
}


@pytest.mark.parametrize("said", WAYS_OUT)
def test_a_way_out_is_refused_and_noted(said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Within the seal of every unit test; this test takes the note away before that one looks.
    with pytest.raises(sealed.SealBrokenError, match=f"a unit test {said}"):
        WAYS_OUT[said]()
    with (
        pytest.raises(sealed.SealBrokenError, match=said),
        sealed.sealed(monkeypatch, tmp_path),
        contextlib.suppress(Exception),
    ):
        WAYS_OUT[said]()
    sealed.forget()


def test_what_every_machine_has_is_left(tmp_path: Path) -> None:
    assert (REPOSITORY / "pyproject.toml").read_text()
    (tmp_path / "own").write_text("x")
    assert subprocess.run([SHELL, "-c", "exit 3"], check=False).returncode == 3
    assert subprocess.run([sys.executable, "-c", ""], check=False).returncode == 0
    connect("127.0.0.1")


def test_no_program_is_found_and_home_is_empty() -> None:
    assert shutil.which("sh") is None
    with pytest.raises(FileNotFoundError):
        subprocess.run(["sleep", "0"], check=False)
    assert list(Path.home().iterdir()) == []


@pytest.mark.parametrize("name", ["ansible", "ansible_runner"])
def test_a_process_that_is_started_cannot_load_ansible_either(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import {name}"], capture_output=True, check=False)
    assert b"a unit test loads Ansible" in done.stderr
