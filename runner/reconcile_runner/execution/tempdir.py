"""The directory for temporary files (``TMPDIR``) that a launcher gives to its runs, one after the other.

What a process leaves there that is killed (a module's payload, some 100 KB, and whatever a role made with ``mktemp``)
goes with its run. ``pool`` makes one for each launcher; ``launcher`` empties it after a run, and the fork server's
``supervisor`` when the last process of its run has ended, which may be later.

Ansible's own directories are elsewhere, where its settings say. The fork server's processes, which make them, have them
adopted: a link here stands for each, and what it leads to goes with the rest.

Imports little but the standard library: a launcher and a fork server's processes stay small.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reconcile_runner.execution import discoverycache

VARIABLE: Final = "TMPDIR"

_MARK: Final = ".reconcile-runner"
"""A file by which a directory of this kind is known: no other directory is ever emptied."""

_ANSIBLES: Final = re.compile(r"ansible-(?:local|moduletmp|tmp)-[A-Za-z0-9_.-]+")
"""The names of directories that Ansible makes for a run, a module, and a task."""

_LONGEST: Final = 70
"""Bytes of a path below which Ansible can make a socket (``pymp-abcdefgh/listener-abcdefgh``): Linux allows 107."""


def is_too_long(directory: Path) -> bool:
    """Tell whether sockets could not be made in a directory, as ansible-core 2.21 does for each run."""
    return len(os.fsencode(directory)) > _LONGEST


def make(directory: Path) -> None:
    """Make such a directory. Raises ``OSError``."""
    directory.mkdir(mode=0o700)
    (directory / _MARK).touch(mode=0o600)


def is_own(directory: str) -> bool:
    """Tell whether ``make`` made a directory."""
    return Path(directory, _MARK).is_file()


@contextlib.contextmanager
def held(directory: str) -> Iterator[None]:
    """Keep a directory from being emptied by anybody else, for as long as the block or a fork of it lasts.

    Nothing happens where there is no such directory.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def adopt(directory: str) -> None:
    """Have a directory of Ansible's go with what is in this process's ``TMPDIR``, where ``make`` made that."""
    if link := _link_to(directory):
        with contextlib.suppress(OSError):
            link.symlink_to(directory)


def forget(directory: str) -> None:
    """Take ``adopt`` back: the directory has gone in its own way."""
    if link := _link_to(directory):
        with contextlib.suppress(OSError):
            link.unlink(missing_ok=True)


def empty(directory: str) -> None:
    """Remove what is in a directory that ``make`` made, unless somebody holds it. What cannot be removed stays."""
    if not is_own(directory):
        return
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove_adopted(directory)
        for path in Path(directory).iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != _MARK and not path.name.startswith(discoverycache.PREFIXES):
                path.unlink(missing_ok=True)
    except OSError:
        return
    finally:
        os.close(descriptor)


def remove(directory: str) -> None:
    """Remove a directory that ``make`` made, with all that can be removed."""
    if is_own(directory):
        with contextlib.suppress(OSError):
            _remove_adopted(directory)
        shutil.rmtree(directory, ignore_errors=True)


def _remove_adopted(directory: str) -> None:
    """Remove what links lead to that ``adopt`` made: a link has its target's name, and that is one of Ansible's."""
    for link in Path(directory).glob("ansible-*"):
        if link.is_symlink() and _ANSIBLES.fullmatch(link.name):
            target = link.readlink()
            if target.is_absolute() and target.name == link.name:
                shutil.rmtree(target, ignore_errors=True)


def _link_to(directory: str) -> Path | None:
    """Return the link for a directory in this process's ``TMPDIR``; None where ``make`` did not make that."""
    own = os.environ.get(VARIABLE)
    return Path(own, Path(directory).name) if own and is_own(own) else None
