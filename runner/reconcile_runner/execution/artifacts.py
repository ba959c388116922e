"""Artifacts: what ansible-runner leaves of each run of an object, and how much of it is kept.

``inputdir`` and ``launcher`` call this before a run, ``inputdir`` again after it. ansible-runner's own rotation is not
used: it fails where only one or two are to be kept, because it takes the link ``latest`` for one of them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import OrderedDict
from pathlib import Path

_BLOCK = 512
"""Bytes: the unit of ``st_blocks`` (stat(2))."""

LATEST = "latest"
"""The link to the newest run's artifacts."""


class ArtifactStore:
    """The artifacts of finished runs: of each object the newest are kept, and of all together ``limit`` bytes.

    ``limit`` 0: nothing is kept once a run has ended; None: no limit. Of too many, the oldest go first, of any object.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._sizes: OrderedDict[Path, int] = OrderedDict()
        self._total = 0

    def take_stock(self, root: Path) -> None:
        """Count what an earlier operator left below a root, oldest first, and make it fit."""
        found = [path for path in root.glob("**/artifacts/*") if (path / "stdout").exists() and not path.is_symlink()]
        for run in sorted(found, key=_modified):
            self.finished(run)

    def keep_newest(self, directory: Path, count: int) -> None:
        """Remove all but the ``count`` newest artifacts (>= 0) of an object. A link is none, and left alone."""
        runs = [path for path in _entries(directory) if path.is_dir() and not path.is_symlink()]
        runs.sort(key=_modified)
        for run in runs[: max(0, len(runs) - count)]:
            self._remove(run)

    def finished(self, run: Path) -> None:
        """Count the artifacts of a run that ended, and remove what is too much now."""
        if self._limit is None:
            return
        self._forget(run)
        self._sizes[run] = _size(run)
        self._total += self._sizes[run]
        while self._total > self._limit:
            self._remove(next(iter(self._sizes)))

    def removed(self, directory: Path) -> None:
        """Stop counting what was below a directory: it was removed with its object."""
        for run in _entries(directory):
            self._forget(run)

    def _remove(self, run: Path) -> None:
        shutil.rmtree(run, ignore_errors=True)
        self._forget(run)

    def _forget(self, run: Path) -> None:
        self._total -= self._sizes.pop(run, 0)


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


def _size(directory: Path) -> int:
    """Return the bytes that a directory takes, as its file system counts them."""
    total = 0
    for parent, _, files in os.walk(directory):
        for name in (parent, *(os.path.join(parent, file) for file in files)):  # noqa: PTH118 - called for each run
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(name).st_blocks * _BLOCK
    return total
