"""The packages that this repository's two projects build, as those who install them get them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.support.paths import REPOSITORY

PROJECTS: Final = {
    "ansible_reconcile_runner": REPOSITORY,
    "reconcile_devcluster": REPOSITORY / "devcluster",
}
"""Directory of each distribution, by the name in its files' names."""

_EPOCH: Final = "1700000000"


def build(project: Path, kind: str, into: Path) -> Path:
    """Build a project's `wheel` or `sdist` with the locked backend; return the file.

    Two builds of the same files are alike, because the times in them are all the same one.
    """
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(into)]
    environment = os.environ | {"SOURCE_DATE_EPOCH": _EPOCH}
    subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True)
    [built] = into.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built
