"""What ``python -m runner version`` prints, in the form of upstream's line."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from runner import __version__
from runner.contract import ENV_COMMIT

_REPOSITORY = Path(__file__).parents[2]


def commit() -> str:
    """Return the commit this was built from: ``RUNNER_COMMIT`` as an image sets it, else git's; or ``unknown``."""
    said = os.environ.get(ENV_COMMIT, "")
    if said:
        return said
    # Only where this package is in its own checkout: an installed one may lie inside anybody's.
    if not (_REPOSITORY / ".git").exists():
        return "unknown"
    try:
        git = ["git", "-C", str(_REPOSITORY), "rev-parse", "HEAD"]
        done = subprocess.run(git, capture_output=True, text=True, check=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def version_line() -> str:
    """Return one line with the versions of all that takes part in a run."""
    versions = {
        "runner version": __version__,
        "commit": commit(),
        "kubernetes client version": _installed("kubernetes"),
        "ansible-core version": _installed("ansible-core"),
        "ansible-runner version": _installed("ansible-runner"),
        "python version": platform.python_version(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }
    return ", ".join(f'{name}: "{value}"' for name, value in versions.items())


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
