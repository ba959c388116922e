"""An ``ansible-playbook``, and what it belongs to: which ansible-core, in which Python.

The operator's own is the one beside its interpreter. ``--ansible-playbook`` names that of another environment, which
needs none of the operator's packages.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from reconcile_runner.errors import ConfigError

SUPPORTED_CORES: Final = ("2.16", "2.17", "2.18", "2.19", "2.20", "2.21")
"""The minor versions of ansible-core that runs may use, oldest first."""

_FLAG: Final = "--ansible-playbook"
_TIMEOUT: Final = 60.0
"""Seconds for ``ansible-playbook --version``, which loads Ansible."""

_CORE: Final = re.compile(r"\[core (\S+)\]")
_PYTHON: Final = re.compile(r"python version = (\d+)\.(\d+)\S* .*\((/[^()]*)\)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Installation:
    """An ``ansible-playbook`` and what runs it.

    - ``program``: its path, or a name to be found in ``PATH``
    - ``core``: its ansible-core's version, empty if that is not known
    - ``python``, ``interpreter``: version (major, minor) and path of the Python that it runs in
    - ``is_own``: whether it belongs to the operator's own environment
    """

    program: str
    core: str
    python: tuple[int, int]
    interpreter: str
    is_own: bool

    def is_of(self, interpreter: str) -> bool:
        """Return whether a path starts its interpreter.

        In a virtual environment, the directory is part of it.
        """
        named, own = Path(interpreter), Path(self.interpreter)
        return named.parent.resolve() == own.parent.resolve() and named.resolve() == own.resolve()


def ansible_playbook() -> str:
    """Return the ``ansible-playbook`` beside this interpreter, else its bare name."""
    beside = Path(sys.executable).with_name("ansible-playbook")
    return str(beside) if beside.exists() else "ansible-playbook"


def own_installation() -> Installation:
    """Return the ``ansible-playbook`` of the operator's environment."""
    try:
        core = version("ansible-core")
    except PackageNotFoundError:
        core = ""
    return Installation(ansible_playbook(), core, sys.version_info[:2], sys.executable, is_own=True)


def installation_of(program: Path | None) -> Installation:
    """Return that of another environment's ``ansible-playbook``; None: the operator's own.

    Raises ``ConfigError`` if the program cannot be used. Blocks.
    """
    return own_installation() if program is None else other_installation(program)


def other_installation(program: Path) -> Installation:
    """Return what another environment's ``ansible-playbook`` says of itself.

    Raises ``ConfigError`` if it is not there, cannot be started, or its ansible-core is not supported. Blocks.
    """
    path = _executable(program)
    told = _version_of(path)
    core, python = _CORE.search(told), _PYTHON.search(told)
    if core is None or python is None:
        first = next(iter(told.strip().splitlines()), "nothing")
        raise ConfigError(
            f"{_FLAG}: {path} --version: found {first!r}, expected the versions of ansible-core and its Python"
        )
    if minor_of(core[1]) not in SUPPORTED_CORES:
        raise ConfigError(
            f"{_FLAG}: {path}: found ansible-core {core[1]}, expected {SUPPORTED_CORES[0]} to {SUPPORTED_CORES[-1]}"
        )
    return Installation(path, core[1], (int(python[1]), int(python[2])), python[3], is_own=False)


def minor_of(core: str) -> str:
    """Return the minor version of an ansible-core: ``2.18`` of ``2.18.6``."""
    return ".".join(core.split(".")[:2])


def _executable(program: Path) -> str:
    path = program.expanduser().absolute()
    expected = "expected the program ansible-playbook of an environment"
    if not path.exists():
        raise ConfigError(f"{_FLAG}: {path} was not found, {expected}")
    if path.is_dir():
        raise ConfigError(f"{_FLAG}: {path} is a directory, {expected}")
    if shutil.which(path) is None:
        raise ConfigError(f"{_FLAG}: {path} cannot be executed, {expected}")
    return str(path)


def _version_of(path: str) -> str:
    try:
        done = subprocess.run(
            [path, "--version"], cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_TIMEOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"{_FLAG}: {path} --version did not end within {_TIMEOUT:g} s") from error
    except OSError as error:
        raise ConfigError(f"{_FLAG}: {path} cannot be started: {os.strerror(error.errno or 0)}") from error
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "it printed nothing").splitlines()[-1]
        raise ConfigError(f"{_FLAG}: {path} --version ended with exit code {done.returncode}: {last}")
    return done.stdout
