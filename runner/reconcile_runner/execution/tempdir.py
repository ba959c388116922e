"""The directory for temporary files (``TMPDIR``) of a launcher's runs.

What a killed process leaves there (a module's payload of some 100 KB, files that a role made with ``mktemp``) is
removed after its run: by the launcher, or by the fork server's supervisor when the last process of the run has ended,
which may be later.

Ansible makes its own directories elsewhere, as its settings say. The fork server's processes have those adopted: a link
in the ``TMPDIR`` points to each, and its target is removed, too.

Imports the standard library and ``discoverycache`` only, because a launcher imports it.
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
"""A file that marks a directory of this kind: no other directory is ever emptied."""

_ANSIBLE_NAMES: Final = re.compile(r"ansible-(?:local|moduletmp|tmp)-[A-Za-z0-9_.-]+")
"""The names of directories that Ansible makes for a run, a module, and a task."""

_MAX_PATH_BYTES: Final = 70
"""Length of a path in which Ansible can make a socket (``pymp-abcdefgh/listener-abcdefgh``): Linux allows 107."""


def is_too_long(directory: Path) -> bool:
    """Return whether a path is too long for sockets in it.

    ansible-core 2.21 makes one for each run.
    """
    return len(os.fsencode(directory)) > _MAX_PATH_BYTES


def make(directory: Path) -> None:
    """Make such a directory. Raises ``OSError``."""
    directory.mkdir(mode=0o700)
    (directory / _MARK).touch(mode=0o600)


def is_own(directory: str) -> bool:
    """Return whether ``make`` made a directory."""
    return Path(directory, _MARK).is_file()


@contextlib.contextmanager
def held(directory: str) -> Iterator[None]:
    """Keep other processes from emptying a directory.

    It lasts as long as the block or a fork of it runs. Does nothing if the directory does not exist.
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
    """Have a directory of Ansible's removed with the content of ``TMPDIR``.

    Does nothing unless ``make`` made this process's ``TMPDIR``.
    """
    if link := _link_to(directory):
        with contextlib.suppress(OSError):
            link.symlink_to(directory)


def forget(directory: str) -> None:
    """Undo ``adopt``: the directory has been removed."""
    if link := _link_to(directory):
        with contextlib.suppress(OSError):
            link.unlink(missing_ok=True)


def empty(directory: str) -> None:
    """Remove the content of a directory that ``make`` made, unless a process holds it.

    Errors are ignored.
    """
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
    """Remove a directory that ``make`` made. Errors are ignored."""
    if is_own(directory):
        with contextlib.suppress(OSError):
            _remove_adopted(directory)
        shutil.rmtree(directory, ignore_errors=True)


def _remove_adopted(directory: str) -> None:
    """Remove the targets of links that ``adopt`` made.

    Such a link has its target's name, which is one of Ansible's.
    """
    for link in Path(directory).glob("ansible-*"):
        if link.is_symlink() and _ANSIBLE_NAMES.fullmatch(link.name):
            target = link.readlink()
            if target.is_absolute() and target.name == link.name:
                shutil.rmtree(target, ignore_errors=True)


def _link_to(directory: str) -> Path | None:
    """Return the link for a directory in this process's ``TMPDIR``.

    None if ``make`` did not make that.
    """
    own = os.environ.get(VARIABLE)
    return Path(own, Path(directory).name) if own and is_own(own) else None
