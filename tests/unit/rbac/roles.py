"""Roles in a temporary directory, and what is read from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.client.discovery import Resource
from reconcile_runner.content.filesearch import FileSearch
from reconcile_runner.content.tasks import Call, TaskWalk, calls_of
from reconcile_runner.content.unknowns import Unknowns as Findings
from reconcile_runner.content.variables import Variables
from reconcile_runner.rbac import KindTable, Unknowns, needs_of_watches, rules_of
from reconcile_runner.watches.loader import Lookup
from reconcile_runner.watches.watch import Watch

THING = GroupVersionKind("example.com", "v1", "Thing")
THINGS = Resource(THING, "things", namespaced=True, subresources=frozenset({"status"}))
REALM = GroupVersionKind("example.com", "v1", "Realm")
REALMS = Resource(REALM, "realms", namespaced=False)

Rights = dict[str, set[str]]
"""Verbs by resource: ``pods``, ``deployments.apps``, ``secrets[one,two]`` for single names."""


@dataclass(frozen=True)
class Workplace:
    """A working directory with roles and playbooks."""

    directory: Path
    unknowns: Findings

    def write(self, path: str, content: object) -> Path:
        """Write a file below the directory: text as it is, anything else as YAML."""
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return file

    def role(self, tasks: object, name: str = "it") -> Path:
        self.write(f"roles/{name}/tasks/main.yml", tasks)
        return self.directory / "roles" / name

    @property
    def lookup(self) -> Lookup:
        return Lookup("", str(self.directory / "collections"), self.directory)

    @property
    def search(self) -> FileSearch:
        return FileSearch(self.lookup, self.directory)

    def kinds(self) -> KindTable:
        return KindTable([THINGS, REALMS], self.unknowns)

    def calls(self, tasks: object, **variables: object) -> list[Call]:
        """Return the calls of a role of these tasks."""
        return list(calls_of(TaskWalk(self.unknowns).role(self.role(tasks), Variables(top=(variables,)), self.search)))

    def rights(self, *watches: Watch) -> Rights:
        """Return what the watches need."""
        return rights_of(rules_of(needs_of_watches(watches, self.kinds(), self.lookup, self.unknowns)))

    def rights_of_tasks(self, tasks: object, **options: Any) -> Rights:
        """Return what a watch of Things needs more for a role of these tasks than for an empty one."""
        whole = self.rights(Watch(THING, role=self.role(tasks), **options))
        bare = Workplace(self.directory, Unknowns()).rights(Watch(THING, role=self.role([], "bare"), **options))
        more = {resource: verbs - bare.get(resource, set()) for resource, verbs in whole.items()}
        return {resource: verbs for resource, verbs in more.items() if verbs}


def rights_of(rules: Iterable[Any]) -> Rights:
    found: Rights = {}
    for rule in rules:
        for resource in rule.resources:
            group = f".{rule.group}" if rule.group else ""
            names = f"[{','.join(rule.names)}]" if rule.names else ""
            found.setdefault(f"{resource}{group}{names}", set()).update(rule.verbs)
    return found
