"""An inspector that asks no Ansible."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from reconcile_runner.content.readfile import ReadFile
from reconcile_runner.inspection.inspector import FileProblem, SearchPaths


@dataclass
class FakeInspector:
    """Implements ``reconcile_runner.inspection.files.FileInspector``; remembers what it was asked about."""

    answers: list[FileProblem] = field(default_factory=list)
    environ: Mapping[str, str] = field(default_factory=dict)
    interpreter: str = ""
    files: list[ReadFile] = field(default_factory=list)

    @contextmanager
    def started(self, environ: Mapping[str, str], interpreter: str) -> Iterator[FakeInspector]:
        """Implement ``reconcile_runner.cli.Inspect``."""
        self.environ = environ
        self.interpreter = interpreter
        yield self

    def search_paths(self) -> SearchPaths:
        environ = self.environ
        return SearchPaths(environ.get("ANSIBLE_ROLES_PATH", ""), environ.get("ANSIBLE_COLLECTIONS_PATH", ""))

    def problems(self, files: Iterable[ReadFile], plays: Iterable[Path]) -> list[FileProblem]:
        asked = list(files)
        self.files += asked
        return [answer for answer in self.answers if answer.path in {file.path for file in asked}]
