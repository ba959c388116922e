"""Programs for tests that need one: the shell and the interpreter of the tests, which are on every machine."""

from __future__ import annotations

import sys
from pathlib import Path

SHELL = "/bin/sh"
"""The one program whose path POSIX machines share. What a script for it calls must be built into it."""

SLEEPER = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)")
"""A command that does nothing until it is ended."""


def printing(file: Path) -> str:
    """Return the line of a script that prints a file, as ``cat`` does."""
    return f'while IFS= read -r line || [ -n "$line" ]; do printf \'%s\\n\' "$line"; done < {file}'


_TOLD = """ansible-playbook [core {core}]
  config file = None
  executable location = /opt/ansible/bin/ansible-playbook
  python version = {python} (main, Jan  1 2026, 12:00:00) [GCC 14.2.0 (Debian 14.2.0-19)] (/opt/ansible/bin/python3)
  jinja version = 3.1.6
  pyyaml version = 6.0.3 (with libyaml v0.2.5)
"""


def another_playbook(directory: Path, core: str = "2.18.12", python: str = "3.12.4") -> Path:
    """Make an ``ansible-playbook`` that tells these versions, and does nothing else."""
    told, program = directory / "told", directory / "ansible-playbook"
    told.write_text(_TOLD.format(core=core, python=python), encoding="utf-8")
    program.write_text(f"#!{SHELL}\n{printing(told)}\n", encoding="utf-8")
    program.chmod(0o700)
    return program
