"""``watches.yaml``: from a file to typed watches, or all its errors at once.

The way of the text: ``yamltext`` (environment, YAML, lines) -> ``schema`` (fields and types;
``lookup`` finds roles and playbooks) -> ``validation`` (findings, ``Watch``). Reference of the file:
docs/reference/watches.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.compat import ENV_COLLECTIONS_PATH, ENV_ROLES_PATH
from reconcile_runner.logs import get_logger
from reconcile_runner.watches.findings import Finding, FindingSeverity, WatchesFileError, describe
from reconcile_runner.watches.lookup import Lookup
from reconcile_runner.watches.validation import Entry, KindChecks, check
from reconcile_runner.watches.watch import Watch
from reconcile_runner.watches.yamltext import Document, YamlTextError, read

__all__ = ["Finding", "FindingSeverity", "Lookup", "WatchesFile", "WatchesFileError", "load", "load_watches"]

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WatchesFile:
    """A watches file without errors.

    ``warnings`` are findings that do not keep the operator from starting.
    """

    watches: tuple[Watch, ...]
    warnings: tuple[Finding, ...]


def load_watches(path: Path, lookup: Lookup | None = None) -> tuple[Watch, ...]:
    """Read the watches of a file, ready for a ``Manager``; log its warnings.

    Variables in the file come from this process's environment. ``lookup`` says where roles and playbooks are; None:
    where ``ANSIBLE_ROLES_PATH`` and ``ANSIBLE_COLLECTIONS_PATH`` say, then below the working directory. Raises
    ``WatchesFileError`` with every error of the file.
    """
    if lookup is None:
        roles_path, collections_path = (os.environ.get(name, "") for name in (ENV_ROLES_PATH, ENV_COLLECTIONS_PATH))
        lookup = Lookup(roles_path, collections_path, Path.cwd())
    loaded = load(path, os.environ, lookup)
    for warning in loaded.warnings:
        _log.warning("watches file", warning=str(warning))
    return loaded.watches


def load(
    path: Path,
    environ: Mapping[str, str],
    lookup: Lookup,
    *,
    tolerated: FindingSeverity = FindingSeverity.WARNING,
    kinds: KindChecks | None = None,
) -> WatchesFile:
    """Read and check a watches file.

    ``environ`` expands ``$VAR`` and ``${VAR}``; ``lookup`` says where roles and playbooks are. ``tolerated`` is the
    severity of what upstream's operator tolerates: unknown keys, a finalizer without a domain. With
    ``kinds`` the kinds and paths of triggers are checked against them. Raises
    ``WatchesFileError`` with every finding where one of them is an error.
    """
    document = _read_document(path, environ)
    entries = [Entry(path, document, number) for number in range(1, len(_entries(path, document)) + 1)]
    watches: list[Watch] = []
    findings: list[Finding] = list(_duplicates(entries))
    for entry in entries:
        watch, found = check(entry, lookup, tolerated, kinds)
        findings += found
        watches += [watch] if watch is not None else []
    findings.sort(key=lambda finding: (finding.entry or 0, finding.line or 0))
    if any(finding.severity is FindingSeverity.ERROR for finding in findings):
        raise WatchesFileError(findings)
    return WatchesFile(tuple(watches), tuple(findings))


def _read_document(path: Path, environ: Mapping[str, str]) -> Document:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _unusable(path, f"cannot be read: {reason}; expected a watches file (flag --watches-file)") from error
    except UnicodeDecodeError as error:
        raise _unusable(path, f"found a byte that is not UTF-8 at offset {error.start}, expected text") from error
    try:
        return read(text, environ)
    except YamlTextError as error:
        findings = [Finding(FindingSeverity.ERROR, path, problem.message, problem.line) for problem in error.problems]
        raise WatchesFileError(findings) from error


def _entries(path: Path, document: Document) -> list[Any]:
    if isinstance(document.value, list) and document.value:
        return document.value
    if document.value is None:
        raise _unusable(path, "is empty, expected a list of watches: - version, kind and role or playbook")
    hint = "; does each entry start with '- '?" if isinstance(document.value, dict) else ""
    raise _unusable(path, f"found {describe(document.value)}, expected a list with one watch or more{hint}")


def _duplicates(entries: Iterable[Entry]) -> Iterable[Finding]:
    first: dict[tuple[str, str], Entry] = {}
    of_version: dict[GroupVersionKind, Entry] = {}
    for entry in entries:
        gvk = entry.gvk
        if gvk is None:
            continue
        same, any_version = of_version.setdefault(gvk, entry), first.setdefault((gvk.group, gvk.kind), entry)
        if same is not entry:
            message = f"found a second watch of this kind, expected one; the first is entry {same.number}"
            yield entry.finding(FindingSeverity.ERROR, message)
        elif any_version is not entry:
            message = (
                f"found a second version of this kind, expected one: both entries run for each of its objects; the "
                f"first is entry {any_version.number}"
            )
            yield entry.finding(FindingSeverity.WARNING, message, ("version",))


def _unusable(path: Path, message: str) -> WatchesFileError:
    return WatchesFileError([Finding(FindingSeverity.ERROR, path, message)])
