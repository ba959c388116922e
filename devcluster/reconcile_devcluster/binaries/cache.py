"""The cache of binaries, shared by all checkouts of this user: complete files only, one writer at a time.

A file appears under its name by an atomic rename, so readers need no lock; writers take `exclusive`, so that two starts
at once build once.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from reconcile_devcluster.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROJECT = "ansible-reconcile-runner"


def cache_root() -> Path:
    """`$XDG_CACHE_HOME/ansible-reconcile-runner`; `~/.cache` where the variable is unset, empty or relative."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification: a relative path is invalid and to be ignored.
    base = Path(configured) if configured.startswith("/") else Path.home() / ".cache"
    return base / _PROJECT


@contextmanager
def exclusive(entry: Path) -> Iterator[None]:
    """Be the only writer of a cache entry, across processes.

    Args:
        entry: Directory of the entry; created if needed.

    """
    entry.mkdir(parents=True, exist_ok=True)
    with (entry / ".lock").open("w") as lock:
        with Progress(f"waiting for another process that fills {entry.name}"):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Lend a name beside `path`; the file becomes `path`, executable, when the block succeeds, and goes otherwise."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
