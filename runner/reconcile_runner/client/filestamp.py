"""Whether a file is still the one that was read: for secrets that somebody else renews.

``credentials`` asks it about tokens, ``tls`` about certificates, before each use: no task is needed, nothing is missed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

Stamp: TypeAlias = tuple[int, int] | None
"""What changes when a file does; None for one that is not there."""


def stamp(path: Path) -> Stamp:
    """Return modification time and inode; the kubelet swaps a symbolic link on the path, which changes the inode."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
