"""Where the private data directories of runs are: the root of ``inputdir``, held by one operator at a time.

``manager`` opens it at the start and closes it at the end. What runs read holds secrets, so the root is in memory where
the machine has room for it, belongs to this process alone, and what an operator left that died is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

from reconcile_runner.errors import ConfigError

_PREFIX = "reconcile-runner-"
_LOCK = ".lock"
_ROOM = 256 * 1024 * 1024
"""Bytes that must be free for a file system in memory to be chosen: a container's ``/dev/shm`` often has 64 MiB."""

_MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})


class RunDir:
    """A directory that is locked for as long as this process lives; ``path`` is where it is.

    The lock is the kernel's (``flock``), so that it ends with its holder, however that ends.
    """

    def __init__(self, path: Path, lock: int, *, temporary: bool) -> None:
        self.path = path
        self._lock = lock
        self._temporary = temporary

    @classmethod
    def open(cls, chosen: Path | None, environment: Mapping[str, str] | None = None) -> Self:
        """Take ``chosen``, or make a directory in the best place and remove those of dead operators there.

        Raises ``ConfigError`` where ``chosen`` cannot be written, or another operator has it.
        """
        if chosen is not None:
            return cls._take(chosen)
        return cls.make_in(_best_base(os.environ if environment is None else environment))

    @classmethod
    def make_in(cls, base: Path) -> Self:
        """Make a directory below ``base`` and remove those of dead operators there. Raises ``OSError``."""
        _remove_dead(base)
        return cls(*_make_locked(base), temporary=True)

    @classmethod
    def _take(cls, chosen: Path) -> Self:
        try:
            chosen.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = _try_lock(chosen)
        except OSError as error:
            raise ConfigError(f"runner directory {chosen}: cannot be used: {error.strerror}") from error
        if lock is None:
            raise ConfigError(f"runner directory {chosen}: another operator is using it, each needs one of its own")
        return cls(chosen.absolute(), lock, temporary=False)

    def close(self) -> None:
        """Let go of the directory; one that was made here is removed, with everything in it."""
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def remove_if_dead(path: Path) -> None:
    """Remove a directory that ``RunDir`` made, where its operator has died; any other is left alone."""
    if path.name.startswith(_PREFIX) and (path / _LOCK).is_file():
        _remove_if_dead(path)


def memory_mounts(mountinfo: str) -> frozenset[str]:
    """Return the mount points in memory, from the text of ``/proc/self/mountinfo`` (see proc(5))."""
    found = set()
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) > 4 and kind and kind[0] in _MEMORY_FILE_SYSTEMS:  # noqa: PLR2004 - the mount point is the fifth
            found.add(fields[4])
    return frozenset(found)


def _best_base(environment: Mapping[str, str]) -> Path:
    candidates = [Path(path) for path in (environment.get("XDG_RUNTIME_DIR"), "/dev/shm") if path]  # noqa: S108
    mounts: frozenset[str] = frozenset()
    with contextlib.suppress(OSError):
        mounts = memory_mounts(Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
    return next(_in_memory_with_room(candidates, mounts), Path(tempfile.gettempdir()))


def _in_memory_with_room(candidates: Iterable[Path], mounts: frozenset[str]) -> Iterator[Path]:
    for path in candidates:
        if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
            continue
        mount = next((parent for parent in (path, *path.parents) if parent.is_mount()), None)
        if str(mount) in mounts and shutil.disk_usage(path).free >= _ROOM:
            yield path


def _make_locked(base: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        # Until it is locked, another operator that starts now may take it for a dead one's and remove it.
        with contextlib.suppress(FileNotFoundError):
            lock = _try_lock(path)
            if lock is not None and (path / _LOCK).exists():
                return path, lock


def _remove_dead(base: Path) -> None:
    for path in base.glob(f"{_PREFIX}*"):
        _remove_if_dead(path)


def _remove_if_dead(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_symlink() or path.stat().st_uid != os.getuid():
            return
        lock = _try_lock(path)
        if lock is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _try_lock(directory: Path) -> int | None:
    """Lock the directory and return the lock's descriptor; None where another process has it. Raises ``OSError``."""
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
