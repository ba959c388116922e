"""Whether others may change a file in a directory that anybody could have made first."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final

_MAX_LINKS: Final = 40
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def trusted_users() -> frozenset[int]:
    """Return who may own what is trusted: this user and root."""
    return frozenset({0, os.geteuid()})


def untrusted_step(path: Path, base: Path, users: Collection[int]) -> str | None:
    """Say what on the way from ``base`` to a file somebody else may change; None: nothing.

    Each directory, link and file must belong to one of ``users`` and must not be writable for others. Directories with
    the sticky bit may be: nobody can replace there what is not theirs. ``base`` itself is not looked at. Raises
    ``OSError`` where there is no such file.
    """
    at, ahead, links = base, list(path.relative_to(base).parts), 0
    while ahead:
        at = at / ahead.pop(0)
        found = at.lstat()
        if found.st_uid not in users:
            return f"{at} belongs to user {found.st_uid}"
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > _MAX_LINKS:
                return f"{at} is one of too many links"
            target = at.readlink()
            at, ahead = at.parent, [*target.parts, *ahead]
        elif found.st_mode & _OTHERS_WRITE and not (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
            return f"{at} may be written by others"
    return None
