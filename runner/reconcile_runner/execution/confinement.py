"""Confine a run's processes: they cannot read the operator's credentials, or look into processes of others.

A run has the operator's user, so the permissions of files and of ``/proc`` do not stop it. Landlock does
(https://docs.kernel.org/userspace-api/landlock.html): a process that is confined, and all that it starts, can read
only what is below the directories that it was given, and can look into a process (``/proc/<pid>/environ``, ``mem``,
``fd``, ptrace) only if that is confined with it. It cannot take this back, as root neither: it loses the capabilities
that the kernel asks for before it asks Landlock, and can mount nothing.

Landlock can only allow. So a file is hidden by allowing all that lies beside it and beside the directories above it:
what is made in one of those later cannot be read. Where this process may write there, that would break roles: a file
in the home directory is such a one. There the file is covered by a mount in a mount namespace of the run's own, for
which the process needs ``CAP_SYS_ADMIN``. Where that is not possible the file stays readable; ``problems`` says so.

Imports the standard library and ``processes`` only: launchers and the fork server's processes import it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from reconcile_runner.execution import processes

_LIBC = ctypes.CDLL(None, use_errno=True)

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
"""Numbers of Landlock's system calls: the same on all architectures."""

_CREATE_RULESET_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1
_READ_FILE: Final = 1 << 2
_REFER: Final = 1 << 13
_MIN_VERSION: Final = 2
"""The version that can allow renaming from directory to directory (Linux 5.19). Before, it is always forbidden."""

_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWNS: Final = 0x20000
_MS_BIND: Final = 1 << 12
_MS_REC_SLAVE: Final = 1 << 14 | 1 << 19
_CAP_SYS_ADMIN: Final = 21
_CAP_PERFMON: Final = 38
_PR_CAPBSET_DROP: Final = 24
_CAPABILITY_VERSION: Final = 0x20080522

CONFINE: Final = "--confine"
"""The argument of a launcher whose runs are to be confined: what follows are the files to hide."""

_TRIAL_TIMEOUT: Final = 30.0
"""Seconds for a process to be confined and to try what it can reach."""

_LIST_FILE: Final = "hidden"


def confine(hidden: Iterable[str]) -> None:
    """Confine this process and all that it will start; the files in ``hidden`` cannot be read then.

    Call it in a process with one thread. Where the kernel has no Landlock, or a file cannot be hidden, it leaves that
    out: ``problems`` finds it. Raises ``OSError`` where the kernel refuses what it offers.
    """
    if _version() < _MIN_VERSION:
        return
    present = [path for path in map(os.path.realpath, hidden) if os.path.exists(path)]  # noqa: PTH110 - text
    below = [path for path in present if not _is_writable_above(path)]
    with contextlib.suppress(OSError):
        _cover(set(present) - set(below))
    _restrict(_allowed(below))
    for capability in (_CAP_SYS_ADMIN, _CAP_PERFMON):
        _drop(capability)


def problems(hidden: Sequence[str]) -> list[str]:
    """Return what a confined process can still reach here, a sentence each; empty: nothing.

    A process is confined and tries. Blocks.
    """
    command = [sys.executable, "-P", "-m", __spec__.name, str(os.getpid()), *hidden]
    try:
        tried = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TRIAL_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"it cannot be tried: {error}"]
    if tried.returncode:
        return [(tried.stderr.strip() or f"exit code {tried.returncode}").splitlines()[-1]]
    return tried.stdout.splitlines()


def _try(operator: str, hidden: Sequence[str]) -> Iterator[str]:
    """Confine this process, and yield what it can reach that it should not."""
    confine(hidden)
    for path in hidden:
        if _content(path):
            yield f"{path} can be read: runs may write in a directory above it, and it cannot be mounted over"
    if (version := _version()) < _MIN_VERSION or _content(f"/proc/{operator}/environ"):
        expected = f"expected Landlock {_MIN_VERSION} (Linux 5.19) of the kernel, found {version or 'none'}"
        yield f"processes of others can be looked into: {expected}"


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - text
            return file.read(1)
    except OSError:
        return b""


def keep(directory: Path, hidden: Sequence[str] | None) -> None:
    """Write to an engine's private directory what its runs must not read. None: they are not confined."""
    if hidden is not None:
        (directory / _LIST_FILE).write_bytes(b"\0".join(map(os.fsencode, hidden)))


def kept(directory: Path) -> list[str] | None:
    """Return what ``keep`` has written; None: nothing, runs are not confined."""
    try:
        content = (directory / _LIST_FILE).read_bytes()
    except FileNotFoundError:
        return None
    return [os.fsdecode(path) for path in content.split(b"\0") if path]


def _version() -> int:
    """Return the version of Landlock that the kernel offers, 0: none."""
    return max(0, int(_LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION)))


def _is_writable_above(path: str) -> bool:
    """Return whether this process may make files in a directory above a path."""
    return any(os.access(each, os.W_OK) for each in Path(path).parents)


def _allowed(hidden: Sequence[str]) -> Iterator[str]:
    """Yield what stands beside the hidden files and beside the directories above them: the root if there are none."""
    if not hidden:
        yield "/"
    above = {str(directory) for path in hidden for directory in Path(path).parents}
    for directory in above:
        with contextlib.suppress(PermissionError), os.scandir(directory) as entries:
            for entry in entries:
                if entry.path not in above and entry.path not in hidden and not entry.is_symlink():
                    yield entry.path


def _cover(paths: Collection[str]) -> None:
    """Mount an empty file over each path, for this process and what it starts.

    Raises ``OSError``: without ``CAP_SYS_ADMIN``, and where the root is no mount, as after chroot.
    """
    if not paths:
        return
    if _LIBC.unshare(_CLONE_NEWNS):
        raise _error("unshare")
    _mount("none", "/", _MS_REC_SLAVE)
    for path in paths:
        _mount(os.devnull, path, _MS_BIND)


def _mount(source: str, target: str, flags: int) -> None:
    if _LIBC.mount(source.encode(), os.fsencode(target), None, ctypes.c_ulong(flags), None):
        raise _error(f"mount over {target}")


def _restrict(allowed: Iterable[str]) -> None:
    """Allow reading below ``allowed`` alone. Renaming and linking stay allowed there."""
    attributes = struct.pack("Q", _READ_FILE | _REFER)
    ruleset = _LIBC.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        raise _error("landlock_create_ruleset")
    try:
        for path in allowed:
            _allow(ruleset, path)
        if _LIBC.syscall(_RESTRICT_SELF, ruleset, 0):
            # Who may not administer the system must first give up to gain rights from programs.
            processes.prctl(_PR_SET_NO_NEW_PRIVS, 1)
            if _LIBC.syscall(_RESTRICT_SELF, ruleset, 0):
                raise _error("landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # gone meanwhile, or out of reach
    try:
        rights = _READ_FILE | _REFER if os.path.isdir(path) else _READ_FILE  # noqa: PTH112 - text
        # REFER is a right on directories alone.
        _LIBC.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def _drop(capability: int) -> None:
    """Give up a capability for good: who has one of these two reads any process's environment (Linux 6.10)."""
    with contextlib.suppress(PermissionError):  # who has no right to it has not the capability either
        processes.prctl(_PR_CAPBSET_DROP, capability)
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()  # two words, each of the effective, the permitted and the inheritable set
    if _LIBC.capget(header, sets):
        raise _error("capget")
    word, bit = divmod(capability, 32)
    for kind in range(3):
        sets[3 * word + kind] &= ~(1 << bit)
    if _LIBC.capset(header, sets):
        raise _error("capset")


def _error(action: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{action}: {os.strerror(number)}")


if __name__ == "__main__":
    sys.stdout.writelines(f"{problem}\n" for problem in _try(sys.argv[1], sys.argv[2:]))
