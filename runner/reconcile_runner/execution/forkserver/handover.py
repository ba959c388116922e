"""What a run leaves for later runs: the names and texts of what it had to make ready and later runs will need again.

``payloads``, ``templates`` and ``yamlfiles`` announce, in the play; ``zygote`` takes it between runs and has it
made ready in itself. Only sources are passed on, never results, so a run can tell a later one nothing but what to read.
"""

from __future__ import annotations

import itertools
import marshal
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeAlias

_numbers = itertools.count()

_PART: Final = ".part"
"""What ends the name of one that is being written: another play may be at it while the zygote looks."""


class Topic(StrEnum):
    """What is announced, and the shape of its content."""

    ARCHIVE = "archive"
    """A module: its full name, and its zip in base64 (``tuple[str, bytes]``)."""

    TEMPLATES = "templates"
    """Templates: (is an expression, escapes backslashes, text) of each (``list[tuple[bool, bool, str]]``)."""

    FILES = "files"
    """Files of YAML: (path, JSON only, trusted as a template) of each (``list[tuple[str, bool, bool]]``)."""


Content: TypeAlias = tuple[str, bytes] | list[tuple[bool, bool, str]] | list[tuple[str, bool, bool]]


def announce(directory: Path, topic: Topic, content: Content) -> None:
    """Leave an announcement. Raises ``OSError``."""
    name = f"{os.getpid()}-{next(_numbers)}.{topic}"
    part = directory / f"{name}{_PART}"
    part.write_bytes(marshal.dumps(content))
    part.rename(directory / name)


def are_waiting(directory: Path) -> bool:
    """Tell whether anything was announced."""
    return any(not name.endswith(_PART) for name in os.listdir(directory))  # noqa: PTH208 - called after every run


def take(directory: Path, topic: Topic) -> Iterator[Any]:
    """Remove the announcements of a topic and return their contents."""
    for path in directory.glob(f"*.{topic}"):
        content = path.read_bytes()
        path.unlink()
        yield marshal.loads(content)  # noqa: S302 - from a run of this user, in a private directory
