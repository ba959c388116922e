"""Artifacts: what ansible-runner leaves of each run of an object, and how many of them are kept.

``inputdir`` and ``launcher`` call this before a run. ansible-runner's own rotation is not used: it fails where only one
or two are to be kept, because it takes the link ``latest`` for one of them.
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


def prepare(directory: Path, ident: str) -> None:
    """Make the place of a run's artifacts, and let ``latest`` lead there.

    What ansible-runner would make for everybody to read (and keeps where it is there) is made for this user alone.
    """
    run = directory / ident
    for private in (directory, run, run / "fact_cache"):
        private.mkdir(mode=0o700, exist_ok=True)
    (run / "stderr").touch(mode=0o600)
    link = directory / f".{LATEST}.new"
    link.unlink(missing_ok=True)
    os.symlink(ident, link)  # noqa: PTH211 - relative to the directory: it stays right when that is moved
    link.rename(directory / LATEST)


def close_to_others(directory: Path, ident: str) -> None:
    """Take from others the right to read the facts that Ansible cached in a run."""
    for path in _entries(directory / ident / "fact_cache"):
        path.chmod(0o600)


def _entries(directory: Path) -> list[Path]:
    with contextlib.suppress(FileNotFoundError):
        return list(directory.iterdir())
    return []


def _modified(path: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0
