"""Artifacts: what ansible-runner leaves of each run of an object, and how many of them are kept.

``inputdir`` calls this before a run. ansible-runner's own rotation is not used: it fails where only one or two are to
be kept, because it takes the link ``latest`` for one of them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

LATEST = "latest"
"""The link to the newest run's artifacts."""


def keep_newest(directory: Path, count: int) -> None:
    """Remove all but the ``count`` newest artifacts (>= 0). A link is no artifact, and left alone."""
    runs = [path for path in _entries(directory) if path.is_dir() and not path.is_symlink()]
    runs.sort(key=_modified)
    for run in runs[: max(0, len(runs) - count)]:
        shutil.rmtree(run, ignore_errors=True)


def point_latest(directory: Path, ident: str) -> None:
    """Let ``latest`` lead to a run's artifacts, in one step."""
    link = directory / f".{LATEST}.new"
    link.unlink(missing_ok=True)
    os.symlink(ident, link)  # noqa: PTH211 - relative to the directory: it stays right when that is moved
    link.rename(directory / LATEST)


def _entries(directory: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):
        return list(directory.iterdir())
    return []


def _modified(path: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0
