"""The line that ``version`` prints, in the form of upstream's."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib import metadata
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from reconcile_runner import __version__
from reconcile_runner.compat import ENV_COMMIT

DISTRIBUTION: Final = "ansible-reconcile-runner"


def commit() -> str:
    """Return the commit that this was built from, or ``unknown``.

    ``RUNNER_COMMIT``, which images set, wins over git's.
    """
    built_from = os.environ.get(ENV_COMMIT, "")
    if built_from:
        return built_from
    checkout = _checkout()
    if checkout is None:
        return "unknown"
    try:
        git = ["git", "-C", checkout, "rev-parse", "HEAD"]
        done = subprocess.run(git, capture_output=True, text=True, check=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


def _checkout() -> str | None:
    """Return the checkout of an editable install (PEP 610), else None."""
    try:
        origin = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None
    direct = json.loads(origin) if origin else {}
    if not direct.get("dir_info", {}).get("editable"):
        return None
    return url2pathname(urlsplit(direct["url"]).path)


def version_line() -> str:
    """Return one line with the versions of all that takes part in a run."""
    versions = {
        "runner version": __version__,
        "commit": commit(),
        "kubernetes client version": installed("kubernetes"),
        "ansible-core version": installed("ansible-core"),
        "ansible-runner version": installed("ansible-runner"),
        "python version": platform.python_version(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }
    return ", ".join(f'{name}: "{value}"' for name, value in versions.items())


def installed(distribution: str) -> str:
    """Return the version of an installed distribution, or ``not installed``."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
