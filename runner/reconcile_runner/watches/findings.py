"""What is wrong with a watches file: one ``Finding`` a line, all of them at once."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reconcile_runner.errors import ConfigError


class FindingSeverity(enum.StrEnum):
    """Whether a finding makes a start impossible."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say about a watches file.

    ``line`` (1-based) and ``entry`` (1-based number in the list) are None where the finding is about all of the file;
    ``kind`` is the entry's, as far as it says one; ``field`` is the path inside the entry, as it is spelt in the file.
    """

    severity: FindingSeverity
    file: Path
    message: str
    line: int | None = None
    entry: int | None = None
    kind: str = ""
    field: str = ""

    def __str__(self) -> str:
        """Return one line: file, line, entry and its kind, field, message."""
        place = str(self.file) if self.line is None else f"{self.file}:{self.line}"
        parts = [place]
        if self.entry is not None:
            parts.append(f"entry {self.entry} ({self.kind})" if self.kind else f"entry {self.entry}")
        if self.field:
            parts.append(self.field)
        return ": ".join([*parts, self.message])


class WatchesFileError(ConfigError):
    """The watches file cannot be used.

    ``findings`` holds every error, and the warnings found on the way.
    """

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__(
            "\n".join(str(finding) for finding in self.findings if finding.severity is FindingSeverity.ERROR)
        )


_MAX_VALUE_CHARACTERS = 60


def describe(value: object) -> str:
    """Return what was found, in words for the person who wrote it into the file."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"{str(value).lower()} (a boolean)"
        case int() | float():
            return f"{value} (a number)"
        case str():
            return repr(value if len(value) <= _MAX_VALUE_CHARACTERS else value[: _MAX_VALUE_CHARACTERS - 1] + "…")
        case list():
            return "an empty list" if not value else "a list"
        case dict():
            return "an empty mapping" if not value else "a mapping"
        case _:
            return repr(value)
