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
