"""The plugins that a zygote knows: Ansible's, and those of loaded collections.

Templates are reused between runs, and tasks run in the play's process, only as long as no other plugin takes part.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_OF_TEMPLATES: Final = ("filter", "lookup", "test")
_OF_TASKS: Final = (*_OF_TEMPLATES, "become", "connection", "shell")
_SEARCHED: Final = "_get_paths"


class OwnPlugins:
    """The plugins below ``roots``, and nothing else."""

    def __init__(self, roots: Iterable[Path]) -> None:
        self._roots = tuple(f"{root.resolve()}/" for root in roots)
        self._known: dict[tuple[str, ...], bool] = {}

    def hold(self, path: str) -> bool:
        """Return whether a plugin's file is one of these."""
        return os.path.realpath(path).startswith(self._roots)

    def are_alone_in_templates(self) -> bool:
        """Return whether unqualified filters, lookups and tests are Ansible's.

        A role, a playbook's directory or a setting can add others: Ansible then searches more directories.
        """
        return self._are_alone(_OF_TEMPLATES)

    def are_alone_in_tasks(self) -> bool:
        """Return whether that is so of all plugins that a task may use besides its action."""
        return self._are_alone(_OF_TASKS)

    def _are_alone(self, kinds: tuple[str, ...]) -> bool:
        return all(self._hold_all(_searched(kind)) for kind in kinds)

    def _hold_all(self, directories: tuple[str, ...]) -> bool:
        held = self._known.get(directories)
        if held is None:
            held = all(self.hold(each) or not Path(each).exists() for each in directories)
            self._known[directories] = held
        return held


def _searched(kind: str) -> tuple[str, ...]:
    from ansible.plugins import loader  # noqa: PLC0415 - not in the server

    # As Ansible asks, since the loader keeps the first answer: with the subdirectories of configured directories.
    return tuple(getattr(getattr(loader, f"{kind}_loader"), _SEARCHED)())
