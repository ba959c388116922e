"""Every supported ansible-core, each in a virtual environment of its own, made when a test first asks for it.

What is true of one core need not be true of the next: tests of what Ansible does with an object's values run on all of
them. ``python -m tests.support.cores`` makes the environments ahead of time.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY
from tools import pythons
from tools.pythons import NoInterpreterError

__all__ = [
    "BEFORE_219", "EACH", "IS_BEFORE_219", "OF_IMAGES", "SUPPORTED", "NoInterpreterError", "ansible_playbook",
    "is_installed", "of_219",
]  # fmt: skip

SUPPORTED = {
    "2.16": (11, 12),
    "2.17": (11, 12),
    "2.18": (11, 13),
    "2.19": (11, 13),
    "2.20": (12, 14),
    "2.21": (12, 14),
}
"""Each supported core, and the oldest and newest Python 3 minor of ours that its controller runs on."""

BEFORE_219 = ("2.16", "2.17", "2.18")
"""The supported cores with the templating that 2.19 replaced, and what depends on it."""


def is_installed(core: str) -> bool:
    """Whether a core is the one in the environment of the tests."""
    return version("ansible-core").startswith(f"{core}.")


IS_BEFORE_219 = any(map(is_installed, BEFORE_219))
"""Whether the core in the environment of the tests is one of them."""

of_219 = pytest.mark.skipif(IS_BEFORE_219, reason="of what there is from ansible-core 2.19 on alone")
"""Marks tests of what the fork server does with the templating that came with 2.19, and leaves alone before."""

OF_IMAGES = ("2.18", "2.21")
"""The cores of the images: the one that most published operators need, and the newest."""


def _marks(core: str) -> tuple[pytest.MarkDecorator, ...]:
    if is_installed(core):
        return ()
    return (pytest.mark.exhaustive if core in OF_IMAGES else pytest.mark.matrix,)


EACH = [pytest.param(core, id=core, marks=_marks(core)) for core in sorted(SUPPORTED)]
"""A parameter for each supported core. ``make test`` has the installed one, ``make test-all`` those of images besides,
and ``make test-matrix`` each in an environment where it is the installed one."""


def ansible_playbook(core: str) -> Path:
    """Return the ``ansible-playbook`` of a core (``2.20``), installing it first where it is not there yet.

    Raises ``NoInterpreterError``.
    """
    if is_installed(core):
        return Path(sys.executable).with_name("ansible-playbook")
    environment = REPOSITORY / ".venvs" / f"core-{core}"
    environment.parent.mkdir(exist_ok=True)
    with (environment.parent / f"core-{core}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(core, environment)
    return environment / "bin" / "ansible-playbook"


def _install(core: str, environment: Path) -> None:
    requirements = REPOSITORY / "requirements" / f"core-{core}.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = environment / "requirements.sha256"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted and (environment / "bin" / "python").exists():
        return
    base = _interpreter(core)
    print(f"making {environment.relative_to(REPOSITORY)} with {base} ...", file=sys.stderr, flush=True)  # noqa: T201
    shutil.rmtree(environment, ignore_errors=True)
    _run(base, "-m", "venv", str(environment))
    _run(str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--require-hashes", "-r", str(requirements))  # fmt: skip
    stamp.write_text(wanted, encoding="utf-8")


def _interpreter(core: str) -> str:
    oldest, newest = SUPPORTED[core]
    for minor in range(newest, oldest - 1, -1):
        if found := pythons.find(minor):
            return found
    raise NoInterpreterError(
        f"ansible-core {core} needs Python 3.{oldest} to 3.{newest}; none on PATH or of a version manager"
    )


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    for each in SUPPORTED:
        try:
            print(f"ansible-core {each}: {ansible_playbook(each)}")  # noqa: T201
        except NoInterpreterError as missing:
            print(f"ansible-core {each}: skipped, {missing}")  # noqa: T201
