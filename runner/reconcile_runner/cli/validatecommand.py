"""``validate``: every finding about a watches file and about what it runs. Reference: docs/reference/cli.md."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reconcile_runner.cli import Inspect
from reconcile_runner.content.crds import CrdKinds, crd_directories, defined_kinds
from reconcile_runner.execution.installation import installation_of
from reconcile_runner.inspection.files import file_findings
from reconcile_runner.options import Options
from reconcile_runner.porting.check import is_strict, refused_tasks
from reconcile_runner.reconciler.environment import RunEnvironment
from reconcile_runner.watches.loader import Finding, FindingSeverity, Lookup, WatchesFileError, load


@dataclass(frozen=True, slots=True)
class ValidateSettings:
    """What the flags say. None: the flag was not given."""

    watches_file: Path
    roles_path: str
    collections_path: str
    crds: Path | None = None
    ansible_playbook: Path | None = None


def findings_of(settings: ValidateSettings, inspect: Inspect) -> Sequence[Finding]:
    """Return what is wrong, in order. What is run is looked at where the watches file itself has no error.

    Raises ``ConfigError`` where CRDs cannot be read, or Ansible cannot be asked.
    """
    directory = Path.cwd()
    lookup = Lookup(settings.roles_path, settings.collections_path, directory)
    kinds = CrdKinds(kind for path in crd_directories(settings.crds) for kind in defined_kinds(path))
    try:
        loaded = load(settings.watches_file, os.environ, lookup, tolerated=FindingSeverity.ERROR, kinds=kinds)
    except WatchesFileError as error:
        return error.findings
    paths = Options(ansible_roles_path=settings.roles_path, ansible_collections_path=settings.collections_path)
    environment = {**os.environ, **RunEnvironment(paths, os.environ, directory).variables()}
    installation = installation_of(settings.ansible_playbook)
    with inspect(environment, installation.interpreter) as inspector:
        of_files = file_findings(loaded.watches, directory, inspector)
    refused = refused_tasks(loaded.watches, lookup) if is_strict(installation.core) else ()
    return [*loaded.warnings, *of_files, *refused]
