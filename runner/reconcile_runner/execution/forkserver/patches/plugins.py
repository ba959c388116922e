"""The plugins that a zygote knows: Ansible's, and those of loaded collections.

Templates are reused between runs, and tasks run in the play's process, only as long as no other plugin takes part.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_OF_TEMPLATES: Final = ("filter", "lookup", "test")
_SEARCHED: Final = "_get_paths"


class OwnPlugins:
    """The plugins below ``roots``, and nothing else."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self._roots = tuple(f"{root.resolve()}/" for root in roots)
        self._searched = _searched()
        self._fixed = all(self.hold(path) for paths in self._searched for path in paths if Path(path).exists())

    def hold(self, path: str) -> bool:
        """Return whether a plugin's file is one of these."""
        return os.path.realpath(path).startswith(self._roots)

    def are_alone_in_templates(self) -> bool:
        """Return whether unqualified filters, lookups and tests are Ansible's.

        A role, a playbook's directory or a setting can add others: Ansible then searches more directories.
        """
        return self._fixed and _searched() == self._searched


def _searched() -> list[tuple[str, ...]]:
    from ansible.plugins import loader  # noqa: PLC0415 - not in the server

    loaders = (getattr(loader, f"{kind}_loader") for kind in _OF_TEMPLATES)
    return [tuple(getattr(each, _SEARCHED)(subdirs=False)) for each in loaders]
