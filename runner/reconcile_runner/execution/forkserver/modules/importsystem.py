"""The two import systems of one process: Ansible's on the controller, and that of a module's new interpreter.

Both know packages ``ansible`` and ``ansible_collections``, and mean different ones. ``priming`` makes both, and leaves
the process with the target's, which ``child`` needs as it is. ``play`` installs the controller's.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

OWN: Final = ("ansible", "ansible_collections", "reconcile_runner")
"""The packages that differ. What else is imported is the same for both."""


@dataclass(frozen=True, slots=True)
class ImportSystem:
    """What of an interpreter's import system differs: where modules are looked for, and those that are loaded."""

    path: tuple[str, ...]
    meta_path: tuple[Any, ...]
    path_hooks: tuple[Any, ...]
    importers: dict[str, Any]
    modules: dict[str, ModuleType]

    @classmethod
    def current(cls) -> ImportSystem:
        """Return what this process has now."""
        return cls(
            tuple(sys.path),
            tuple(sys.meta_path),
            tuple(sys.path_hooks),
            dict(sys.path_importer_cache),
            {name: module for name, module in sys.modules.items() if name.partition(".")[0] in OWN},
        )

    def install(self, instead_of: ImportSystem) -> None:
        """Make it this process's, which has ``instead_of``."""
        forget(instead_of.modules)
        sys.modules.update(self.modules)
        sys.path[:] = self.path
        sys.meta_path[:] = self.meta_path
        sys.path_hooks[:] = self.path_hooks
        sys.path_importer_cache.clear()
        sys.path_importer_cache.update(self.importers)

    @contextlib.contextmanager
    def installed(self, instead_of: ImportSystem) -> Iterator[None]:
        """Have it in the block. What is imported there belongs to it from then on."""
        self.install(instead_of)
        try:
            yield
        finally:
            now = ImportSystem.current()
            self.modules.update(now.modules)
            self.importers.update(now.importers)
            instead_of.install(instead_of=self)


def forget(names: Iterable[str]) -> None:
    """Remove modules, whether they are loaded or not."""
    for name in names:
        sys.modules.pop(name, None)
