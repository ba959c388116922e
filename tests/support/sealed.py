"""Keeps a test from everything but the repository, its interpreter and its own temporary files.

An audit hook looks at what a test opens, starts, imports and connects to. What is not allowed is refused, and fails
the test even where the code under test handles the refusal. Without effect while no test is sealed: other tiers may
run in the same process.
"""

from __future__ import annotations

import ipaddress
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.support.paths import REPOSITORY, TESTDATA

FORBIDDEN_PACKAGES = frozenset({"ansible", "ansible_runner"})
SHELL = "/bin/sh"
"""The one program that every machine has: POSIX says so, and Python's `shell=True` starts it."""
NO_ANSIBLE = TESTDATA / "no-ansible"
"""What processes that a test starts load in their place."""

_KEPT_VARIABLES = ("TMPDIR", "LD_LIBRARY_PATH", "PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER")
_KEPT_PREFIX = "COVERAGE_"
_SYSTEM = ("/proc", "/sys", "/dev", "/usr/share/zoneinfo", "/usr/lib", "/lib", "/etc/mime.types", "/etc/apache2")
"""What the kernel answers, and what the standard library and the loader of shared objects read by themselves."""

_MADE_HERE = tuple(str(REPOSITORY / name) for name in (".collections", ".devcluster", ".git"))
"""Parts of the repository's directory that a fresh copy of the sources lacks."""


class SealBrokenError(AssertionError):
    """A test reached for something outside. The message says what."""


class Seal:
    """The rules, and what broke them since the last test began."""

    def __init__(self) -> None:
        self.active = False
        self.broken: list[str] = []
        # Not the prefix of the interpreter's installation: a distribution's is /usr, which has every program.
        self._programs = _real(str(REPOSITORY), sys.prefix, sys.executable, tempfile.gettempdir())
        self._files = (*self._programs, *_real(*sys.path))
        self._checks: Mapping[str, Callable[..., str]] = {
            "open": self._open,
            "os.listdir": self._path,
            "os.scandir": self._path,
            "subprocess.Popen": self._program,
            "os.exec": self._program,
            "os.posix_spawn": self._program,
            "socket.connect": _address,
            "socket.bind": _address,
            "socket.sendto": _address,
            "socket.getaddrinfo": _name,
        }

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Look at one event of the interpreter. Raises ``SealBrokenError``."""
        if not self.active or event not in self._checks:
            return
        self.active = False  # what the check itself does is not the test's
        try:
            problem = self._checks[event](*arguments)
        finally:
            self.active = True
        if problem:
            self._refuse(problem)

    def find_spec(self, name: str, *_path_and_target: object) -> None:
        """Refuse a module, as a finder of ``sys.meta_path``: `importlib.import_module` raises no event."""
        if self.active and name in FORBIDDEN_PACKAGES:
            self._refuse(f"imports {name}")

    def _refuse(self, problem: str) -> NoReturn:
        self.broken.append(problem)
        raise SealBrokenError(f"a unit test {problem}")

    def _open(self, path: int | str | bytes | None, *_mode_and_flags: object) -> str:
        return self._path(path)

    def _path(self, path: int | str | bytes | None) -> str:
        if isinstance(path, int) or path is None:
            return ""
        text = os.path.realpath(os.fsdecode(path))
        is_allowed = _is_below(text, (*self._files, *_SYSTEM)) and not _is_below(text, _MADE_HERE)
        is_own_memory = text.startswith("/memfd:")
        return "" if is_allowed or is_own_memory else f"opens {text}"

    def _program(self, program: str | bytes | Path, *_others: object) -> str:
        path = Path(os.fsdecode(program))
        # A name without a path is looked up on the PATH, which is the test's own.
        is_own = not path.is_absolute() or str(path) == SHELL or _is_below(os.path.realpath(path), self._programs)
        return "" if is_own else f"starts {path}"


def _address(_socket: object, address: object) -> str:
    if not isinstance(address, tuple):
        return ""  # a path of AF_UNIX, or netlink
    host = str(address[0])
    try:
        is_local = not host or ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        is_local = host == "localhost"
    return "" if is_local else f"talks to {host}"


def _name(host: object, *_others: object) -> str:
    return _address(None, (os.fsdecode(host),)) if isinstance(host, str | bytes) else ""


def _is_below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)


def _real(*paths: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(os.path.realpath(path) for path in paths if path))


_SEAL = Seal()
sys.addaudithook(_SEAL.audit)
sys.meta_path.insert(0, _SEAL)


@contextmanager
def sealed(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    """Seal the block: no programs on the PATH, ``home`` for a home, no variable of whoever started the tests.

    Raises ``SealBrokenError`` at its end where the block reached outside.
    """
    for name in [name for name in sys.modules if name.partition(".")[0] in FORBIDDEN_PACKAGES]:
        monkeypatch.delitem(sys.modules, name)  # loaded by another tier's test
    for name in set(os.environ) - set(_KEPT_VARIABLES):
        if not name.startswith(_KEPT_PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(NO_ANSIBLE))
    monkeypatch.setenv("PATH", str(home / "no-programs"))
    before, _SEAL.active = _SEAL.active, True
    _SEAL.broken.clear()
    try:
        yield
    finally:
        _SEAL.active = before
    if _SEAL.broken:
        raise SealBrokenError(f"a unit test {'; '.join(_SEAL.broken)}")


def forget() -> None:
    """Forget what broke the seal: for tests of the seal itself."""
    _SEAL.broken.clear()
