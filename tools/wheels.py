"""The `ansible` wheel of each core: every collection that is released with it, for `make test-matrix`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tools.environment import REQUIREMENTS, ROOT, StepFailedError, digest, exclusive, is_stamped, run_step


def provide(core: str, python: str = sys.executable) -> Path:
    """Return the directory that holds `ansible_collections` of a core's wheel (`2.20`); got unless it is there.

    `python` is one that the wheel can be installed by; nothing of its own environment changes.

    Raises:
        StepFailedError: The wheel cannot be had.

    """
    lock, directory = REQUIREMENTS / f"wheel-{core}.txt", ROOT / ".venvs" / f"wheel-{core}"
    stamp, content = directory / ".stamp", digest(lock.read_bytes())
    with exclusive():
        if not is_stamped(stamp, content):
            shutil.rmtree(directory, ignore_errors=True)
            command = [
                *(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"),
                # Ansible compiles modules by itself, where it runs them.
                *("--no-compile", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r", str(lock)),
                *("--target", str(directory)),
            ]
            answer = run_step(f"installing {lock.name}", command)
            if answer.returncode != 0:
                raise StepFailedError(f"{lock.name}: could not be installed:\n{answer.stdout.strip()}")
            stamp.write_text(content, encoding="utf-8")
    return directory
