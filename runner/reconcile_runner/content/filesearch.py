"""Where the files of tasks are: other tasks, templates, roles.

Ansible's order of places, by looking alone.

A name that is a template in parts (``"{{ state }}.yml"``) stands for every file that it can mean.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reconcile_runner.content.variables import is_template
from reconcile_runner.watches.loader import Lookup

_TEMPLATED = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_WILD = re.compile(r"([*?\[])")


@dataclass(frozen=True, slots=True)
class FileSearch:
    """What is looked at for the files of one file of tasks.

    ``role`` is the directory of the role that the file belongs to, None outside roles; ``play`` the directory of the
    playbook, None where there is none.
    """

    lookup: Lookup
    directory: Path
    role: Path | None = None
    play: Path | None = None

    def beside(self, file: Path) -> FileSearch:
        """Return the search from another file of the same role or playbook."""
        return replace(self, directory=file.parent)

    def files(self, folder: str, name: str) -> list[Path]:
        """Return the first file of a name, or all that a name with templates can mean.

        ``folder`` is where a role has such files: ``tasks``, ``templates``, ``files``.
        """
        for place in dict.fromkeys(self._places(folder)):
            found = _matching(place, name)
            if found:
                return found
        return []

    def role_named(self, name: str, collections: Sequence[str] = ()) -> Path | None:
        """Return the directory of a role; None if none is found or its name is a template.

        ``name`` may be a path. ``collections`` are looked at first.
        """
        if is_template(name) or not name:
            return None
        for collection in collections:
            found = self._role_of_lookup(f"{collection}.{name}")
            if found is not None:
                return found
        beside = [self.role.parent / name] if self.role else []
        beside += [self.play / "roles" / name, self.play / name] if self.play else []
        for place in beside:
            if _is_directory(place):
                return Path(os.path.normpath(place))
        return self._role_of_lookup(name)

    def _role_of_lookup(self, name: str) -> Path | None:
        try:
            return self.lookup.role(name)
        except ValueError:
            return None

    def _places(self, folder: str) -> Iterator[Path]:
        if self.role is not None:
            yield self.role / folder
            yield self.role
        yield self.directory / folder
        yield self.directory
        if self.play is not None:
            yield self.play / folder
            yield self.play
        yield self.lookup.working_directory


def _matching(place: Path, name: str) -> list[Path]:
    if not is_template(name):
        path = place / name
        return [path] if _is_file(path) else []
    parts = _TEMPLATED.split(name)
    if not any(re.search(r"\w", part) for part in parts):
        return []  # nothing but a variable may be any file
    pattern = "*".join(_WILD.sub(r"[\1]", part) for part in parts)
    if Path(pattern).is_absolute():
        return []
    return sorted(path for path in place.glob(pattern) if path.is_file())


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # no permission to look, or no name that a file can have
        return False
