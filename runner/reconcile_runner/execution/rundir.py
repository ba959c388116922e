"""The directory of runs' private data directories, for one operator at a time.

Inputs of runs hold secrets. So the directory is in memory if the machine has a file system with room for it, belongs to
this user alone, and is removed by the next operator if this one dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Self

from reconcile_runner.errors import ConfigError

_PREFIX: Final = "reconcile-runner-"
_LOCK: Final = ".lock"
_MIN_FREE_BYTES: Final = 256 * 1024 * 1024
"""Free space of a file system in memory for it to be used. A container's ``/dev/shm`` often has 64 MiB."""

_MEMORY_FILE_SYSTEMS: Final = frozenset({"tmpfs", "ramfs"})


class RunDir:
    """A directory that is locked while this process lives. ``path`` is absolute.

    The lock is the kernel's (``flock``), so that it ends with the process, even if that is killed.
    """

    def __init__(self, path: Path, lock: int, *, temporary: bool) -> None:
        self.path = path
        self._lock = lock
        self._temporary = temporary

    @classmethod
    def open(cls, chosen: Path | None, environment: Mapping[str, str] | None = None) -> Self:
        """Lock ``chosen``, or make a directory in the best place.

        Directories of dead operators in that place are removed. Raises ``ConfigError`` if ``chosen`` cannot be written,
        or another operator uses it.
        """
        if chosen is not None:
            return cls._take(chosen)
        return cls.make_in(_best_base(os.environ if environment is None else environment))

    @classmethod
    def make_in(cls, base: Path) -> Self:
        """Make a directory below ``base`` and remove those of dead operators there.

        Raises ``OSError``.
        """
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
        """Unlock the directory, and remove it with its content if it was made here."""
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def remove_if_dead(path: Path) -> None:
    """Remove a directory that a ``RunDir`` of a dead operator made.

    Any other is left alone.
    """
    if path.name.startswith(_PREFIX) and (path / _LOCK).is_file():
        _remove_if_dead(path)


def memory_mounts(mountinfo: str) -> frozenset[str]:
    """Return the mount points in memory.

    ``mountinfo`` is the text of ``/proc/self/mountinfo`` (see proc(5)).
    """
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
        if str(mount) in mounts and shutil.disk_usage(path).free >= _MIN_FREE_BYTES:
            yield path


def _make_locked(base: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        # Before it is locked, another operator that starts may take it for a dead operator's and remove it.
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
    """Lock the directory and return the lock's descriptor.

    None if another process has it. Raises ``OSError``.
    """
    descriptor = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
