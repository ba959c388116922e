"""The two import systems of one process: the controller's and a module's.

Both have packages ``ansible`` and ``ansible_collections``, with different content. A zygote has the one of modules,
which a module's process needs. A play installs the controller's.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

OWN: Final = ("ansible", "ansible_collections", "reconcile_runner")
"""The packages that differ. All others are the same for both."""


@dataclass(frozen=True, slots=True)
class ImportSystem:
    """The parts of an import system that differ: search paths and loaded modules."""

    path: tuple[str, ...]
    meta_path: tuple[Any, ...]
    path_hooks: tuple[Any, ...]
    importers: dict[str, Any]
    modules: dict[str, ModuleType]

    @classmethod
    def current(cls) -> ImportSystem:
        """Return this process's."""
        return cls(
            tuple(sys.path),
            tuple(sys.meta_path),
            tuple(sys.path_hooks),
            dict(sys.path_importer_cache),
            {name: module for name, module in sys.modules.items() if name.partition(".")[0] in OWN},
        )

    def install(self, instead_of: ImportSystem) -> None:
        """Install it in this process, which has ``instead_of``."""
        forget(instead_of.modules)
        sys.modules.update(self.modules)
        sys.path[:] = self.path
        sys.meta_path[:] = self.meta_path
        sys.path_hooks[:] = self.path_hooks
        sys.path_importer_cache.clear()
        sys.path_importer_cache.update(self.importers)

    @contextlib.contextmanager
    def installed(self, instead_of: ImportSystem) -> Iterator[None]:
        """Have it installed in the block. What the block imports is added to it."""
        self.install(instead_of)
        try:
            yield
        finally:
            now = ImportSystem.current()
            self.modules.update(now.modules)
            self.importers.update(now.importers)
            instead_of.install(instead_of=self)


def forget(names: Iterable[str]) -> None:
    """Remove modules from ``sys.modules``, if they are there."""
    for name in names:
        sys.modules.pop(name, None)
