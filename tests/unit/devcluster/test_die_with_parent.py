from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SHIM = Path(__file__).parents[3] / "devcluster" / "die_with_parent.py"


def _run(parent: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", str(SHIM), str(parent), "/bin/echo", "hello"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_it_becomes_the_program() -> None:
    assert _run(os.getpid()).stdout == "hello\n"


def test_it_starts_nothing_when_the_starter_is_gone_already() -> None:
    answer = _run(os.getppid())
    assert (answer.returncode, answer.stdout) == (1, "")
