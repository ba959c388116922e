"""The findings about the files of all that watches run: each is an error with file and line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from reconcile_runner.content.readfile import FileKind, ReadFile
from reconcile_runner.content.tasks import TaskWalk
from reconcile_runner.content.unknowns import Unknowns
from reconcile_runner.content.yamlfiles import YamlFileError, text_of
from reconcile_runner.inspection.inspector import FileProblem, SearchPaths
from reconcile_runner.reconciler.finalizer import for_deletion
from reconcile_runner.watches.findings import Finding, FindingSeverity
from reconcile_runner.watches.loader import Lookup
from reconcile_runner.watches.watch import Watch

_OTHER_DELIMITERS: Final = re.compile(r"\b(variable|block|comment)_(start|end)_string\b")
"""Options of templates that no environment of Jinja has by itself."""


class FileInspector(Protocol):
    """``Inspector``, as far as files go."""

    def search_paths(self) -> SearchPaths:
        """Return where Ansible looks for roles and collections."""

    def problems(self, files: Iterable[ReadFile], plays: Iterable[Path]) -> list[FileProblem]:
        """Return what is wrong with files."""


def file_findings(watches: Sequence[Watch], directory: Path, inspector: FileInspector) -> list[Finding]:
    """Return an error for each thing that is wrong with what the watches run, by entry, file and line.

    What several entries run is looked at for the first of them. ``directory`` is the operator's working directory.
    """
    paths = inspector.search_paths()
    lookup = Lookup(paths.roles, paths.collections, directory)
    findings: dict[tuple[Path, int | None, str], Finding] = {}
    seen: set[Path] = set()
    for number, watch in enumerate(watches, 1):
        for path, line, message in _of_watch(watch, lookup, inspector, seen):
            findings.setdefault((path, line, message), _finding(path, line, message, number, watch))
    return sorted(findings.values(), key=lambda it: (it.entry or 0, str(it.file), it.line or 0))


def _finding(path: Path, line: int | None, message: str, entry: int, watch: Watch) -> Finding:
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    kind = f"{watch.gvk.api_version} {watch.gvk.kind}"
    return Finding(FindingSeverity.ERROR, shown, message, line, entry, kind)


def _of_watch(
    watch: Watch, lookup: Lookup, inspector: FileInspector, seen: set[Path]
) -> Iterator[tuple[Path, int | None, str]]:
    for run in (watch, for_deletion(watch)) if watch.finalizer else (watch,):
        walk = TaskWalk(Unknowns())
        for _ in walk.watch(run, lookup):
            pass
        yield from ((missing.path, missing.line, missing.message) for missing in walk.missing)
        files = [file for file in _inspected(walk.files) if file.path not in seen]
        seen.update(file.path for file in files)
        plays = [run.playbook.parent] if run.playbook else []
        for problem in inspector.problems(files, plays) if files else ():
            yield problem.path, problem.line, f"found {problem.found}, expected {problem.expected}"


def _inspected(files: Mapping[Path, ReadFile]) -> Iterator[ReadFile]:
    """Yield the files to be looked at.

    Among templates those alone whose name says that they are Jinja's, of roles that change none of its delimiters.
    """
    roles = {file.role for file in files.values() if file.kind is not FileKind.TEMPLATE and _changes_delimiters(file)}
    for file in files.values():
        if file.kind is not FileKind.TEMPLATE or (file.path.suffix == ".j2" and file.role not in roles):
            yield file


def _changes_delimiters(file: ReadFile) -> bool:
    try:
        return _OTHER_DELIMITERS.search(text_of(file.path)) is not None
    except YamlFileError:
        return False
