"""Bounds the artifacts that ansible-runner leaves of each run of an object.

ansible-runner's own rotation is not used. It fails if only one or two runs are to be kept, because it counts the link
``latest`` as a run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import OrderedDict
from pathlib import Path
from typing import Final

_BLOCK_BYTES: Final = 512
"""The unit of ``st_blocks`` (stat(2))."""

LATEST: Final = "latest"
"""The link to the newest run's artifacts."""


class ArtifactStore:
    """Keeps the newest artifacts of each object, and ``limit`` bytes in total.

    ``limit`` 0: nothing is kept once a run has ended; None: no limit. Of too many, the oldest go first, of any object.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self._sizes: OrderedDict[Path, int] = OrderedDict()
        self._total = 0

    def take_stock(self, root: Path) -> None:
        """Count the artifacts that an earlier operator left below ``root``.

        The oldest above the limit are removed.
        """
        found = [path for path in root.glob("**/artifacts/*") if (path / "stdout").exists() and not path.is_symlink()]
        for run in sorted(found, key=_modified):
            self.finished(run)

    def keep_newest(self, directory: Path, count: int) -> None:
        """Remove all but the ``count`` (>= 0) newest artifacts of an object.

        Links are left alone.
        """
        runs = [path for path in _entries(directory) if path.is_dir() and not path.is_symlink()]
        runs.sort(key=_modified)
        for run in runs[: max(0, len(runs) - count)]:
            self._remove(run)

    def finished(self, run: Path) -> None:
        """Count the artifacts of a run that ended, and remove the oldest above the limit."""
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
    """Make the directory of a run's artifacts, and link ``latest`` to it.

    What ansible-runner would make readable for all, and keeps if it exists, is made for this user alone.
    """
    run = directory / ident
    for private in (directory, run, run / "fact_cache"):
        private.mkdir(mode=0o700, exist_ok=True)
    (run / "stderr").touch(mode=0o600)
    link = directory / f".{LATEST}.new"
    link.unlink(missing_ok=True)
    os.symlink(ident, link)  # noqa: PTH211 - relative, so that the directory can be moved
    link.rename(directory / LATEST)


def close_to_others(directory: Path, ident: str) -> None:
    """Make the facts that Ansible cached in a run unreadable for other users."""
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
    """Return the bytes that a directory takes in its file system."""
    total = 0
    for parent, _, files in os.walk(directory):
        for name in (parent, *(os.path.join(parent, file) for file in files)):  # noqa: PTH118 - called for each run
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(name).st_blocks * _BLOCK_BYTES
    return total
