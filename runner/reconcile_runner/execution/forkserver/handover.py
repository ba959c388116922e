"""Passes sources from plays to the zygote, which prepares them for later plays.

A play publishes the names and texts of what it had to build: modules' zips, templates, files of YAML. The zygote takes
them between runs. Only sources are passed on, never results, so a run cannot change what a later one computes.
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
"""Suffix of a file that a play is still writing."""


class Topic(StrEnum):
    """What is published, and the type of its content."""

    ARCHIVE = "archive"
    """A module: its full name, and its zip in base64 (``tuple[str, bytes]``)."""

    TEMPLATES = "templates"
    """Templates: (is an expression, escapes backslashes, text) of each (``list[tuple[bool, bool, str]]``)."""

    FILES = "files"
    """Files of YAML: (path, JSON only, trusted as a template) of each (``list[tuple[str, bool, bool]]``)."""


Content: TypeAlias = tuple[str, bytes] | list[tuple[bool, bool, str]] | list[tuple[str, bool, bool]]


def publish(directory: Path, topic: Topic, content: Content) -> None:
    """Write a file for the zygote into ``directory``. Raises ``OSError``."""
    name = f"{os.getpid()}-{next(_numbers)}.{topic}"
    part = directory / f"{name}{_PART}"
    part.write_bytes(marshal.dumps(content))
    part.rename(directory / name)


def has_pending(directory: Path) -> bool:
    """Return whether anything was published and not taken."""
    return any(not name.endswith(_PART) for name in os.listdir(directory))  # noqa: PTH208 - called after every run


def take(directory: Path, topic: Topic) -> Iterator[Any]:
    """Remove the files of a topic and return their contents."""
    for path in directory.glob(f"*.{topic}"):
        content = path.read_bytes()
        path.unlink()
        yield marshal.loads(content)  # noqa: S302 - from a run of this user, in a private directory
