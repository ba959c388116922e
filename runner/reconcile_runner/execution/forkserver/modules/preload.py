"""Loads the code that modules share, as a module's interpreter would load it.

A module runs in its own interpreter, from a zip that holds it and the code of Ansible and collections that it imports.
Most of that code is the same for every run, and the libraries below it (``kubernetes``) take most of the time. It is
loaded once here, apart from Ansible's own copy, which knows that it is on the controller. A module gets of it what its
zip holds byte for byte.
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

from reconcile_runner.execution.forkserver.modules.importsystem import ImportSystem

_SKIPPED = ("_extensions", "powershell", "csharp")
_PRELOADED_COLLECTIONS = frozenset({("kubernetes", "core"), ("reconcile_runner", "util"), ("operator_sdk", "util")})
"""The collections whose shared code is loaded ahead. Modules load that of others themselves."""


@dataclass(frozen=True, slots=True)
class TargetModule:
    """A loaded module and the checksum of its source."""

    module: ModuleType
    checksum: int


@dataclass(frozen=True, slots=True)
class TargetModules:
    """The loaded modules by their names in a module's zip.

    ``imports`` is the import system of a new interpreter that holds them. ``with_warnings`` are the names of those that
    warn when they are imported, because they are deprecated.
    """

    imports: ImportSystem
    by_file: dict[str, TargetModule]
    with_warnings: frozenset[str] = frozenset()


def load(new: ImportSystem, collections: Iterable[Path]) -> TargetModules:
    """Load the shared code in the import system of a new interpreter.

    Restores this process's import system.
    """
    before = ImportSystem.current()
    new.install(instead_of=before)
    try:
        # The namespace packages of collections: one directory each is enough here.
        sys.path[:0] = [str(root) for root in collections]
        import ansible.module_utils  # noqa: PLC0415 - a copy of its own

        names = list(_shared_by_ansible(Path(ansible.module_utils.__path__[0])))
        for directory in preloaded(collections):
            names += _shared_by_collection(directory)
        with_warnings = _import_all(names)
        loaded = ImportSystem.current()
        # Here, because namespace packages find their directories by their import system.
        by_file = dict(_by_file(loaded.modules))
    finally:
        before.install(instead_of=ImportSystem.current())
    silent = {file: each for file, each in by_file.items() if each.module.__name__ not in with_warnings}
    imports = ImportSystem(new.path, loaded.meta_path, loaded.path_hooks, {}, loaded.modules)
    return TargetModules(imports, silent, frozenset(by_file) - frozenset(silent))


def preloaded(collections: Iterable[Path]) -> Iterator[Path]:
    """Return the directories of the collections whose shared code is loaded ahead."""
    for root in collections:
        for namespace, name in sorted(_PRELOADED_COLLECTIONS):
            yield root / "ansible_collections" / namespace / name


def _import_all(names: list[str]) -> set[str]:
    """Import the modules.

    Return the names of those that warned, and of what was imported with them. The warnings are cleared, because no
    module has caused them.
    """
    from ansible.module_utils.common import warnings  # noqa: PLC0415 - the copy that is being loaded

    warned = [getattr(warnings, name) for name in ("_global_warnings", "_global_deprecations")]
    with_warnings: set[str] = set()
    for name in names:
        before = set(sys.modules)
        _try_import(name)
        if any(warned):
            with_warnings |= {each for each in sys.modules if each not in before}
            for each in warned:
                each.clear()
    return with_warnings


def _try_import(name: str) -> None:
    # A library is missing, or the code is for another system: the module that needs it reports that.
    with contextlib.suppress(Exception, SystemExit):
        importlib.import_module(name)


def _shared_by_ansible(directory: Path) -> Iterator[str]:
    return _names(directory, "ansible.module_utils")


def _shared_by_collection(directory: Path) -> Iterator[str]:
    package = f"ansible_collections.{directory.parent.name}.{directory.name}.plugins.module_utils"
    yield from _names(directory / "plugins" / "module_utils", package)


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
        is_package = Path(file).name == "__init__.py"
        source = Path(file) if is_package else _own_file(name, modules) or Path(file)
        with contextlib.suppress(OSError):
            checksum = zlib.crc32(source.read_bytes())
            yield name.replace(".", "/") + ("/__init__.py" if is_package else ".py"), TargetModule(module, checksum)


def _own_file(name: str, modules: dict[str, ModuleType]) -> Path | None:
    """Return the file of this name in the package of this name, which a zip holds.

    The module's ``__file__`` is another one if it has put another module in its own place.
    """
    parent, _, child = name.rpartition(".")
    directories = getattr(modules.get(parent), "__path__", None)
    files = [Path(directory) / f"{child}.py" for directory in directories or ()]
    return next((file for file in files if file.is_file()), None)
