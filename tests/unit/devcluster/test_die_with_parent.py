from __future__ import annotations

import os
import subprocess
import sys

from reconcile_devcluster import die_with_parent

SHIM = die_with_parent.__file__


def _run(parent: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", SHIM, str(parent), "/bin/echo", "hello"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_becomes_the_program() -> None:
    assert _run(os.getpid()).stdout == "hello\n"


def test_it_starts_nothing_when_the_starter_is_gone_already() -> None:
    answer = _run(os.getppid())
    assert (answer.returncode, answer.stdout) == (1, "")
