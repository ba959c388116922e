"""A file of a role or playbook, and what Ansible takes it for."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path


class FileKind(enum.StrEnum):
    """What Ansible takes a file for."""

    PLAYBOOK = "playbook"
    TASKS = "tasks"
    HANDLERS = "handlers"
    VARS = "vars"
    META = "meta"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file, and in which context it is read first.

    ``role`` is the directory of its role, None outside roles; ``collections`` are those in which its modules and roles
    are looked for by their short names.
    """

    path: Path
    kind: FileKind
    role: Path | None = None
    collections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MissingFile:
    """A role, or a file of tasks, that a file names and that is nowhere. ``line`` (1-based) may be None."""

    path: Path
    line: int | None
    message: str
