"""Modules' zips that are read, compiled and linked before a run brings them.

The first run that uses a module publishes its zip. The zygote prepares it here, so that a later run with a zip of the
same bytes finds its module ready. A module's code is compiled here, never executed.
"""

from __future__ import annotations

import base64
import contextlib
import importlib
import importlib.util
import io
import itertools
import sys
import zipfile
import zipimport
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

from reconcile_runner.execution.forkserver.handover import Topic, take
from reconcile_runner.execution.forkserver.modules.importsystem import ImportSystem, forget
from reconcile_runner.execution.forkserver.modules.preload import TargetModule, TargetModules

LOADER: Final = "ansible.module_utils._internal._ansiballz._loader"
"""The module that a payload's wrapper calls to run its module."""

BASIC: Final = "ansible.module_utils.basic"
"""The module in which a wrapper puts a module's parameters before ansible-core 2.19, which has no ``LOADER``."""


class _Importer(zipimport.zipimporter):
    """Imports from a zip and compiles each module once."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._compiled: dict[str, CodeType] = {}
        self._filenames: dict[str, str] = {}

    def get_code(self, fullname: str) -> CodeType:
        code = self._compiled.get(fullname)
        if code is None:
            code = self._compiled[fullname] = super().get_code(fullname)
        return code

    def get_filename(self, fullname: str) -> str:
        # zipimport compiles the module to find its file name.
        filename = self._filenames.get(fullname)
        if filename is None:
            filename = self._filenames[fullname] = super().get_filename(fullname)
        return filename


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip whose modules are imported, or taken from those that are loaded.

    - ``path``: where the file is
    - ``modules``: for ``sys.modules``
    - ``packages``: of those, the packages, with their directories in the zip
    - ``children``: of those, the ones that no other zip shares, as (package, name in it, module)
    - ``importers``: for ``sys.path_importer_cache``
    """

    path: str
    modules: dict[str, ModuleType]
    packages: tuple[tuple[ModuleType, str], ...]
    children: tuple[tuple[ModuleType, str, ModuleType], ...]
    importers: dict[str, Any]

    def install(self, target: TargetModules) -> None:
        """Have this process import from it.

        The process has the import system of ``target``.
        """
        forget(name for name in target.imports.modules if name not in self.modules)
        sys.modules.update(self.modules)
        for module, path in self.packages:
            module.__path__ = [path]
        for package, name, module in self.children:
            setattr(package, name, module)
        sys.path.insert(0, self.path)
        sys.path_importer_cache.update(self.importers)


class Archives:
    """The known zips, by their text in a payload: their bytes in base64.

    ``directory``: where they are stored; ``published``: where plays publish new ones.
    """

    def __init__(self, directory: Path, published: Path, target: TargetModules) -> None:
        self._directory = directory
        self._published = published
        self._target = target
        self._known: dict[bytes, Archive] = {}
        self._numbers = itertools.count()

    def find(self, text: bytes) -> Archive | None:
        """Return a known zip, None if it is new."""
        return self._known.get(text)

    def update(self) -> None:
        """Prepare what was published. This process has the target's import system.

        A zip that cannot be prepared stays unknown: its module is then loaded in each run.
        """
        for name, text in take(self._published, Topic.ARCHIVE):
            with contextlib.suppress(OSError, ImportError, ValueError, SyntaxError, zipfile.BadZipFile):
                self.add(name, text)

    def add(self, name: str, text: bytes) -> None:
        """Prepare the zip of the module with this full name.

        The process has the target's import system. Raises ``OSError``, ``ImportError``, ``ValueError`` or
        ``zipfile.BadZipFile`` if it is no such zip.
        """
        if text in self._known:
            return
        # A new name each time: zipimport caches what it has read of a file by its name.
        path = self._directory / f"archive_{next(self._numbers)}_payload.zip"
        path.write_bytes(base64.b64decode(text))
        self._known[text] = prepare(name, path, self._target)


def prepare(name: str, path: Path, target: TargetModules) -> Archive:
    """Link a zip to loaded code. Restores this process's import system."""
    before = dict(sys.path_importer_cache)
    archive = str(path)

    def import_from_it(entry: str) -> _Importer:
        if not entry.startswith(archive):
            raise ImportError("not in this zip")
        return _Importer(entry)

    sys.path_hooks.insert(0, import_from_it)
    packages = [(each, dict(vars(each))) for each in target.imports.modules.values() if "__path__" in vars(each)]
    try:
        files = checksums(path.read_bytes())
        shared = loaded(files, target)
        link(archive, shared, target)
        importlib.import_module(LOADER if f"{LOADER.replace('.', '/')}.py" in files else BASIC)
        _compile(name)
        modules = ImportSystem.current().modules
        return Archive(
            path=archive,
            modules=modules,
            # six calls itself a package without a directory.
            packages=tuple((each, each.__path__[0]) for each in modules.values() if vars(each).get("__path__")),
            children=tuple(_children(modules, {each.module for each in shared.values()})),
            importers={key: each for key, each in sys.path_importer_cache.items() if key.startswith(archive)},
        )
    finally:
        sys.path_hooks.remove(import_from_it)
        sys.path.remove(archive)
        sys.path_importer_cache.clear()
        sys.path_importer_cache.update(before)
        forget(ImportSystem.current().modules)
        sys.modules.update(target.imports.modules)
        # A shared package has the modules that were imported below it here, which another zip may not hold.
        for package, content in packages:
            vars(package).clear()
            vars(package).update(content)


def _children(modules: dict[str, ModuleType], shared: set[ModuleType]) -> Iterator[tuple[ModuleType, str, ModuleType]]:
    for name, module in modules.items():
        parent, _, child = name.rpartition(".")
        if parent and module not in shared:
            yield modules[parent], child, module


def _compile(name: str) -> None:
    spec = importlib.util.find_spec(name)
    loader: object = spec.loader if spec else None
    if not isinstance(loader, _Importer):
        raise ImportError(f"{name} is not in its zip")  # noqa: TRY004 - the module is missing or comes from elsewhere
    loader.get_code(name)


def checksums(content: bytes) -> dict[str, int]:
    """Return the checksum of each file in a zip. Raises ``zipfile.BadZipFile``."""
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        return {entry.filename: entry.CRC for entry in opened.infolist()}


def loaded(files: dict[str, int], target: TargetModules) -> dict[str, TargetModule]:
    """Return the files of a zip whose modules are loaded with equal content.

    Empty if any file differs. A module that differs may be imported by one that is equal, so either all are shared or
    none. A module that warns when it is imported has to warn the module that imports it: a zip that holds one shares
    nothing. The ``__init__`` of a package may differ, since in a zip it is empty or extends the package's path; it is
    then taken from the zip.
    """
    same: dict[str, TargetModule] = {}
    if not target.with_warnings.isdisjoint(files):
        return same
    for name, checksum in files.items():
        known = target.by_file.get(name)
        if known and known.checksum == checksum:
            same[name] = known
        elif known and not name.endswith("/__init__.py"):
            return {}
    return same


def link(archive: str, shared: dict[str, TargetModule], target: TargetModules) -> None:
    """Have this process import from a zip, except the ``shared`` modules.

    Those are loaded already.
    """
    forget(target.imports.modules)
    sys.path.insert(0, archive)
    names = {name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name for name in shared}
    for name in sorted(names, key=lambda each: each.count(".")):
        parent, _, child = name.rpartition(".")
        if parent:
            package = importlib.import_module(parent)
            module = shared[names[name]].module
            sys.modules[name] = module
            setattr(package, child, module)
            if names[name].endswith("/__init__.py"):
                module.__path__ = [f"{archive}/{name.replace('.', '/')}"]
