"""Where the playbooks and roles of a watches file are on disk.

Upstream's order (``getPossibleRolePaths`` of its ``watches.go``): the first place that exists wins. A relative path is
relative to the working directory, never to the watches file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SYSTEM_COLLECTIONS = "/usr/share/ansible/collections:~/.ansible/collections"
_FQCN_PARTS = 3


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a lookup depends on.

    ``roles_path`` and ``collections_path`` are lists of directories separated by ``:``, as ``ANSIBLE_ROLES_PATH`` and
    ``ANSIBLE_COLLECTIONS_PATH`` have them (empty: no such place; Ansible's own default). ``working_directory`` is
    absolute.
    """

    roles_path: str
    collections_path: str
    working_directory: Path

    def playbook(self, name: str) -> Path:
        """Return the absolute path of a playbook.

        Raises ``ValueError`` where there is no such file.
        """
        path = self._absolute(name)
        if not _is_file(path):
            raise ValueError(f"found {name!r}, expected a playbook that exists; looked at {path}")
        return path

    def role(self, name: str) -> Path:
        """Return the absolute path of a role's directory.

        Raises ``ValueError`` that lists the places looked at.
        """
        places = list(dict.fromkeys(self._role_places(name)))
        for place in places:
            if _is_directory(place):
                return place
        looked_at = ", ".join(str(place) for place in places)
        raise ValueError(f"found {name!r}, expected a role that exists; looked at {looked_at}")

    def _role_places(self, name: str) -> Iterator[Path]:
        if Path(name).is_absolute():
            yield Path(name)
            return
        parts = name.split(".")
        if len(parts) == _FQCN_PARTS:
            namespace, collection, role = parts
            for root in self._directories(self.collections_path or _SYSTEM_COLLECTIONS):
                yield root / "ansible_collections" / namespace / collection / "roles" / role
        for root in self._directories(self.roles_path):
            yield root / name
            yield root / "roles" / name
        yield self.working_directory / "roles" / name

    def _directories(self, search_path: str) -> list[Path]:
        return [self._absolute(entry) for entry in search_path.split(":") if entry]

    def _absolute(self, name: str) -> Path:
        # normpath and not resolve: a symlink is where the user says it is. Path.expanduser fails for a user without a
        # home directory, as an arbitrary UID in a container is.
        return Path(os.path.normpath(self.working_directory / os.path.expanduser(name)))  # noqa: PTH111


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # no permission to look: as good as not there, and the message names the place
        return False


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
