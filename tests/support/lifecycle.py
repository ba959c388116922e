"""What the tests of an object's life share: kinds, a project whose runs write a diary, an object under test."""

from __future__ import annotations

import http
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reconcile_devcluster.api import ApiServer
from tests.support.operator_process import eventually
from tools.testing.definitions import custom_resource_definition

GROUP = "life.test"
CLEANUP, FOREIGN = "life.test/cleanup", "other.test/keep"
PAUSED, NOW = "reconcile-runner/paused", "reconcile-runner/reconcile-now"

TASKS = """
- name: Note
  ansible.builtin.shell: echo "{{ phase }} {{ ansible_operator_meta.name }}" >> "{{ diary }}"
- name: Wait for the gate
  ansible.builtin.wait_for:
    path: "{{ gate }}"
    sleep: 1
  when: gate is defined
- name: Look into it
  ansible.builtin.fail:
    msg: "{{ phase }} is not possible"
  when: broken | default('') == phase
- name: Note the end
  ansible.builtin.shell: echo "end of {{ phase }} {{ ansible_operator_meta.name }}" >> "{{ diary }}"
"""

KINDS: dict[str, dict[str, Any]] = {
    "Thing": {"finalizer": {"name": CLEANUP, "role": "cleanup"}, "failureBackoff": {"base": "1s", "cap": "2s"}},
    "Played": {"finalizer": {"name": CLEANUP, "playbook": "cleanup.yml"}},
    "Reused": {"finalizer": {"name": CLEANUP, "vars": {"phase": "cleanup"}}},
    "Plain": {"upstreamStatus": True, "maxRunnerArtifacts": 1},
    "Labelled": {
        "triggers": [
            {
                "group": GROUP,
                "version": "v1",
                "kind": "Labelled",
                "match": {"source": "metadata.name", "field": "metadata.name"},
                "namespace": "same",
                "events": ["updated"],
                "on": ["labels"],
            }
        ]
    },
}

OWN_KINDS = ("Orphan", "Killed", "Mortal", "Quiet", "First", "Second")
"""Kinds of tests that start an operator of their own."""

_numbers = itertools.count(1)


def definition(kind: str, group: str = GROUP) -> dict[str, Any]:
    return custom_resource_definition(group, kind)


@dataclass(frozen=True)
class Project:
    """Roles, playbooks and the watches file of this operator; runs write what they do into a diary."""

    directory: Path

    @property
    def watches(self) -> Path:
        return self.directory / "watches.yaml"

    @property
    def diary(self) -> Path:
        return self.directory / "diary"

    def write(self, kinds: dict[str, dict[str, Any]]) -> None:
        for role in ("thing", "cleanup"):
            tasks = self.directory / role / "tasks"
            tasks.mkdir(parents=True, exist_ok=True)
            (tasks / "main.yml").write_text(TASKS)
        (self.directory / "cleanup" / "vars").mkdir(exist_ok=True)
        (self.directory / "cleanup" / "vars" / "main.yml").write_text("{}")
        play = [{"hosts": "localhost", "gather_facts": False, "roles": [str(self.directory / "cleanup")]}]
        (self.directory / "cleanup.yml").write_text(yaml.safe_dump(play))
        entries = [self._entry(kind, dict(fields)) for kind, fields in kinds.items()]
        self.watches.write_text(yaml.safe_dump(entries))

    def _entry(self, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        finalizer = dict(fields.pop("finalizer", {}))
        for content in ("role", "playbook"):
            if content in finalizer:
                finalizer[content] = str(self.directory / finalizer[content])
                finalizer["vars"] = {"phase": "cleanup"}
        if finalizer:
            fields["finalizer"] = finalizer
        run = {"role": str(self.directory / "thing"), "vars": {"phase": "run", "diary": str(self.diary)}}
        return {"group": GROUP, "version": "v1", "kind": kind, **run, **fields}

    def noted(self, name: str) -> list[str]:
        """Return the phases that began for an object, in order."""
        lines = self.diary.read_text().splitlines() if self.diary.exists() else []
        return [phase for phase, _, of in (line.rpartition(" ") for line in lines) if of == name]


@dataclass(frozen=True)
class Thing:
    """One object under test."""

    api: ApiServer
    kind: str
    name: str

    @property
    def path(self) -> str:
        return f"/apis/{GROUP}/v1/namespaces/default/{self.kind.lower()}s/{self.name}"

    def create(self, spec: dict[str, Any] | None = None, **metadata: Any) -> Thing:
        body = {"apiVersion": f"{GROUP}/v1", "kind": self.kind, "spec": spec or {}}
        self.api.call("POST", self.path.rpartition("/")[0], {**body, "metadata": {"name": self.name, **metadata}})
        return self

    def get(self) -> dict[str, Any]:
        return self.api.call("GET", self.path)

    def patch(self, body: dict[str, Any]) -> None:
        self.api.call("PATCH", self.path, body, "application/merge-patch+json")

    def annotate(self, **annotations: str | None) -> None:
        names = {"paused": PAUSED, "now": NOW}
        self.patch({"metadata": {"annotations": {names[name]: text for name, text in annotations.items()}}})

    def delete(self) -> None:
        self.api.call("DELETE", self.path)

    @property
    def is_gone(self) -> bool:
        return self.api.request("GET", self.path)[0] == http.HTTPStatus.NOT_FOUND

    @property
    def finalizers(self) -> list[str]:
        found: list[str] = self.get()["metadata"].get("finalizers", [])
        return found

    def condition(self, wanted: str) -> dict[str, Any]:
        conditions = self.get().get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == wanted), {})

    def events(self) -> list[tuple[str, str, str]]:
        """Return type, reason and message of the object's Events, the oldest first."""
        items = self.api.call("GET", "/api/v1/namespaces/default/events")["items"]
        own = [item for item in items if item["involvedObject"].get("name") == self.name]
        own.sort(key=lambda item: str(item["metadata"]["creationTimestamp"]))
        return [(item["type"], item["reason"], item["message"]) for item in own]

    def becomes_ready(self) -> None:
        eventually(lambda: self.condition("Ready").get("status") == "True", f"{self.name} to be ready")

    def goes(self) -> None:
        eventually(lambda: self.is_gone, f"{self.name} to be gone")


def thing(api: ApiServer, kind: str = "Thing") -> Thing:
    return Thing(api, kind, f"t{next(_numbers)}")
