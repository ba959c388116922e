"""What is known of a module's zip before a run brings it: read, compiled and linked to what is loaded.

The first run that uses a module leaves its zip behind (``payloads``). ``zygote`` looks for new ones between runs
and prepares them here, in itself, so that every later run finds a module that is ready. It only reads: a module's code
is compiled, never run. ``child`` asks with the zip it was given, and gets what was prepared for these bytes.
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
"""What a payload's wrapper calls to run its module."""


class _Importer(zipimport.zipimporter):
    """Imports from a zip, and compiles a module once."""

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
        # To tell it, zipimport compiles the module.
        filename = self._filenames.get(fullname)
        if filename is None:
            filename = self._filenames[fullname] = super().get_filename(fullname)
        return filename


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip, linked.

    - ``path``: where the file is
    - ``modules``: what is to be in ``sys.modules``
    - ``packages``: of those, the packages, with their directories in the zip
    - ``children``: of those, the ones that no other zip shares, with their packages and names there
    - ``importers``: what is to be in ``sys.path_importer_cache``
    """

    path: str
    modules: dict[str, ModuleType]
    packages: tuple[tuple[ModuleType, str], ...]
    children: tuple[tuple[ModuleType, str, ModuleType], ...]
    importers: dict[str, Any]

    def install(self, target: TargetModules) -> None:
        """Make it what this process imports from. The process has the import system of ``target``."""
        forget(name for name in target.imports.modules if name not in self.modules)
        sys.modules.update(self.modules)
        for module, path in self.packages:
            module.__path__ = [path]
        for package, name, module in self.children:
            setattr(package, name, module)
        sys.path.insert(0, self.path)
        sys.path_importer_cache.update(self.importers)


class Archives:
    """The zips that are known, by the text that a payload has of them: their bytes in base64.

    ``directory``: where they are kept, ``announced``: where plays announce new ones.
    """

    def __init__(self, directory: Path, announced: Path, target: TargetModules) -> None:
        self._directory = directory
        self._announced = announced
        self._target = target
        self._known: dict[bytes, Archive] = {}
        self._numbers = itertools.count()

    def find(self, text: bytes) -> Archive | None:
        """Return what is known of a zip; None where it is new."""
        return self._known.get(text)

    def learn(self) -> None:
        """Prepare what was announced. This process has the target's import system.

        One that cannot be prepared stays unknown, and works as any unknown one.
        """
        for name, text in take(self._announced, Topic.ARCHIVE):
            with contextlib.suppress(OSError, ImportError, ValueError, SyntaxError, zipfile.BadZipFile):
                self.add(name, text)

    def add(self, name: str, text: bytes) -> None:
        """Prepare the zip of the module of that full name. The process has the target's import system.

        Raises ``OSError``, ``ImportError``, ``ValueError`` and ``zipfile.BadZipFile`` where it is no such zip.
        """
        if text in self._known:
            return
        # A name that was never used: zipimport keeps what it has read of a file, by its name.
        path = self._directory / f"archive_{next(self._numbers)}_payload.zip"
        path.write_bytes(base64.b64decode(text))
        self._known[text] = prepare(name, path, self._target)


def prepare(name: str, path: Path, target: TargetModules) -> Archive:
    """Link a zip to what is loaded of it. The process is as before afterwards."""
    before = dict(sys.path_importer_cache)
    archive = str(path)

    def import_from_it(entry: str) -> _Importer:
        if not entry.startswith(archive):
            raise ImportError("another place")
        return _Importer(entry)

    sys.path_hooks.insert(0, import_from_it)
    packages = [(each, dict(vars(each))) for each in target.imports.modules.values() if "__path__" in vars(each)]
    try:
        shared = loaded(checksums(path.read_bytes()), target)
        link(archive, shared, target)
        importlib.import_module(LOADER)
        _compile(name)
        modules = ImportSystem.current().modules
        return Archive(
            path=archive,
            modules=modules,
            packages=tuple((each, each.__path__[0]) for each in modules.values() if "__path__" in vars(each)),
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
        # A package that is shared knows what was imported below it here, of which another zip may hold nothing.
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
        raise ImportError(f"{name} is not in its zip")  # noqa: TRY004 - it is not there, or not from there
    loader.get_code(name)


def checksums(content: bytes) -> dict[str, int]:
    """Return the checksum of each file in a zip. Raises ``zipfile.BadZipFile``."""
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        return {entry.filename: entry.CRC for entry in opened.infolist()}


def loaded(files: dict[str, int], target: TargetModules) -> dict[str, TargetModule]:
    """Return what of a zip is loaded already: all that is the same, or nothing where any of it differs.

    One that says something when it is imported says it to the module that imports it, as ever, so it is not shared,
    nor what may have imported it. What differs may be imported by what is the same, so that half of it would be the
    wrong half. A package that does nothing differs in a zip, where its file is empty or extends its path: that one is
    taken from the zip.
    """
    same: dict[str, TargetModule] = {}
    if not target.talkative.isdisjoint(files):
        return same
    for name, checksum in files.items():
        known = target.by_file.get(name)
        if known and known.checksum == checksum:
            same[name] = known
        elif known and not name.endswith("/__init__.py"):
            return {}
    return same


def link(archive: str, shared: dict[str, TargetModule], target: TargetModules) -> None:
    """Have this process import from a zip, and give it what is loaded, with everything around it from the zip."""
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
