"""Paths and steps the setup scripts share; the Makefile calls them in the order `setup_venv`, `get_collections`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tools.progress import Progress, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""

VENV = ROOT / ".venv"
REQUIREMENTS = ROOT / "requirements"

_WHO = "setup"


def tell(message: str) -> None:
    """Print one line for the user on stderr."""
    say(message, who=_WHO)


def fail(message: str) -> NoReturn:
    """End with exit code 1 and a message."""
    tell(f"error: {message}")
    sys.exit(1)


def digest(*parts: bytes) -> str:
    """Digest several pieces of content; kept in a stamp file, so that a change of any piece makes a step run again."""
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()


def is_stamped(stamp: Path, content: str) -> bool:
    """Whether a step was done with exactly this content."""
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == content


@contextmanager
def exclusive() -> Iterator[None]:
    """Be the only one who sets up this checkout, across processes."""
    lock_file = ROOT / ".venvs" / "setup.lock"
    lock_file.parent.mkdir(exist_ok=True)
    with lock_file.open("w") as lock:
        with Progress("waiting for another setup of this checkout", who=_WHO):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class StepFailedError(Exception):
    """A step of the setup went wrong. The message has what it printed."""


def locked_environment(name: str) -> Path:
    """Return `.venvs/NAME`, an environment with what `requirements/NAME.txt` pins; made unless it is there.

    Raises:
        StepFailedError: It cannot be made, or the packages cannot be installed.

    """
    environment, lock = ROOT / ".venvs" / name, REQUIREMENTS / f"{name}.txt"
    stamp, content = environment / ".stamp", digest(lock.read_bytes(), sys.version.encode())
    with exclusive():
        if not is_stamped(stamp, content):
            create = run_step(f"creating .venvs/{name}", [sys.executable, "-m", "venv", "--clear", str(environment)])
            if create.returncode != 0:
                raise StepFailedError(f"{environment}: could not be created:\n{create.stdout.strip()}")
            pip = [
                str(environment / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ]
            options = ["--only-binary=:all:", "--require-hashes", "-r", str(lock)]
            install = run_step(f"installing {lock.name}", [*pip, *options])
            if install.returncode != 0:
                raise StepFailedError(f"{lock.name}: could not be installed:\n{install.stdout.strip()}")
            stamp.write_text(content, encoding="utf-8")
    return environment


def run_step(what: str, command: Sequence[str], timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program quietly, with progress.

    Args:
        what: Title of the step.
        command: Program and arguments, run in the checkout.
        timeout: Seconds it may take.

    Returns:
        What it printed and its exit code; 124 (as of timeout(1)) when it took too long.

    """
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    with Progress(what, who=_WHO):
        try:
            return subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 124, stdout=f"no answer within {timeout:.0f} s")
