"""The code that modules share, loaded as a module's interpreter would load it, ahead of time.

A module runs in an interpreter of its own, from a zip that holds it and all of Ansible's and the collections' code that
it imports. Most of that code is the same for every run, and the libraries below it (``kubernetes``) take most of the
time. ``priming`` has it loaded once, apart from Ansible's own copy, which knows itself to be on the controller;
``inprocess`` gives a module what its zip holds byte for byte, and no more.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_OWN = ("ansible", "ansible_collections")
_SKIPPED = ("_extensions", "powershell", "csharp")
_PRELOADED_COLLECTIONS = frozenset({("kubernetes", "core"), ("reconcile_runner", "util"), ("operator_sdk", "util")})
"""The collections whose shared code is loaded ahead. Code of others is loaded by the modules that use it."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """What of an interpreter's import system differs between a new one and one that holds Ansible."""

    path: list[str]
    meta_path: list[Any]
    path_hooks: list[Any]

    @classmethod
    def current(cls) -> Interpreter:
        """Return what this process has now."""
        return cls(list(sys.path), list(sys.meta_path), list(sys.path_hooks))

    def install(self) -> None:
        """Make it this process's."""
        sys.path[:] = self.path
        sys.meta_path[:] = self.meta_path
        sys.path_hooks[:] = self.path_hooks
        sys.path_importer_cache.clear()


@dataclass(frozen=True, slots=True)
class TargetModule:
    """A loaded module, and the checksum of the source that it was loaded from."""

    module: ModuleType
    checksum: int


@dataclass(frozen=True, slots=True)
class TargetModules:
    """The loaded modules by their names in a module's zip, and the import system of a new interpreter.

    ``talkative`` are the names of those that have something to say when they are imported: that they are deprecated.
    """

    interpreter: Interpreter
    by_file: dict[str, TargetModule]
    talkative: frozenset[str] = frozenset()


def load(interpreter: Interpreter, collections: Iterable[Path]) -> TargetModules:
    """Load what modules share, in the import system of a new interpreter. This process is as before afterwards."""
    before = Interpreter.current()
    controller = take_away()
    interpreter.install()
    try:
        # The name space packages of collections: one directory each is enough here.
        sys.path[:0] = [str(root) for root in collections]
        import ansible.module_utils  # noqa: PLC0415 - a copy of its own

        names = list(_shared_by_ansible(Path(ansible.module_utils.__path__[0])))
        for root in collections:
            names += _shared_by_collections(root / "ansible_collections")
        talkative = _import_all(names)
        by_file = dict(_by_file(take_away()))
    finally:
        take_away()
        before.install()
        sys.modules.update(controller)
    silent = {file: each for file, each in by_file.items() if each.module.__name__ not in talkative}
    return TargetModules(interpreter, silent, frozenset(by_file) - frozenset(silent))


def _import_all(names: list[str]) -> set[str]:
    """Import the modules, and return the names of those that said something, and of what was new with them.

    What they said is forgotten: it was not said to a module.
    """
    from ansible.module_utils.common import warnings  # noqa: PLC0415 - the copy that is being loaded

    said = [getattr(warnings, name) for name in ("_global_warnings", "_global_deprecations")]
    talkative: set[str] = set()
    for name in names:
        before = set(sys.modules)
        _try_import(name)
        if any(said):
            talkative |= {each for each in sys.modules if each not in before}
            for each in said:
                each.clear()
    return talkative


def take_away(packages: tuple[str, ...] = _OWN) -> dict[str, ModuleType]:
    """Remove the modules of packages, Ansible's and the collections', from this process and return them by name."""
    names = [name for name in sys.modules if name.partition(".")[0] in packages]
    return {name: sys.modules.pop(name) for name in names}


def _try_import(name: str) -> None:
    # A library that is not there, or code for another system: the module that needs it says so itself.
    with contextlib.suppress(Exception, SystemExit):
        importlib.import_module(name)


def _shared_by_ansible(directory: Path) -> Iterator[str]:
    return _names(directory, "ansible.module_utils")


def _shared_by_collections(base: Path) -> Iterator[str]:
    for namespace, name in sorted(_PRELOADED_COLLECTIONS):
        directory = base / namespace / name / "plugins" / "module_utils"
        yield from _names(directory, f"ansible_collections.{namespace}.{name}.plugins.module_utils")


def _names(directory: Path, package: str) -> Iterator[str]:
    for path in sorted(directory.rglob("*.py")):
        parts = path.relative_to(directory).with_suffix("").parts
        if not set(parts) & set(_SKIPPED):
            yield ".".join((package, *(part for part in parts if part != "__init__")))


def _by_file(modules: dict[str, ModuleType]) -> Iterator[tuple[str, TargetModule]]:
    for name, module in modules.items():
        file = vars(module).get("__file__")
        if not isinstance(file, str) or not file.endswith(".py"):
            continue
        suffix = "/__init__.py" if Path(file).name == "__init__.py" else ".py"
        with contextlib.suppress(OSError):
            checksum = zlib.crc32(Path(file).read_bytes())
            yield name.replace(".", "/") + suffix, TargetModule(module, checksum)
