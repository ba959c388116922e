"""Rights that cannot be known from files: one line each, to be added by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is said.

    ``task`` is its name, or its number in the file; empty: the file as a whole.
    """

    file: Path
    task: str = ""

    def __str__(self) -> str:
        """Return ``file: task``, the file relative to the working directory if below it."""
        file = self.file.relative_to(Path.cwd()) if self.file.is_relative_to(Path.cwd()) else self.file
        return f"{file}: {self.task}" if self.task else str(file)


@dataclass(slots=True)
class Unknowns:
    """Collects the lines, each once, in the order of their first appearance."""

    lines: list[str] = field(default_factory=list)

    def add(self, place: Place | None, message: str) -> None:
        """Take a line. ``place`` None: it is about no single file."""
        line = f"{place}: {message}" if place else message
        if line not in self.lines:
            self.lines.append(line)
