"""What kstatus and ``kubectl wait`` conclude at each moment of an object's life: the table of docs/reference/status.md.

Each moment is held while both look: by a gate that a run waits for, by a slot that another run has, by a pause.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile_devcluster import crds
from reconcile_devcluster.api import ApiServer
from reconcile_devcluster.binaries.finder import find_kubectl
from reconcile_devcluster.cluster import Cluster
from tests import checkers
from tests.support import statustable
from tests.support.operator_process import eventually, operator
from tests.support.schemas import METAV1_CONDITION
from tests.support.statustable import Row
from tools.testing.definitions import custom_resource_definition

pytestmark = [pytest.mark.timeout(checkers.BUILD_TIMEOUT), pytest.mark.exhaustive]

GROUP = "moments.test"
WAITED, QUEUED, MORTAL = "Waited", "Queued", "Mortal"
"""Watched kinds: any number runs at a time, or one alone; the last one has a finalizer."""
UNSEEN, DEFAULTLESS = "Unseen", "Defaultless"
"""Kinds that no operator watches; the last one gives its status no default."""

PAUSED, NOW = "reconcile-runner/paused", "reconcile-runner/reconcile-now"
PERIOD = "ansible.sdk.operatorframework.io/reconcile-period"

TASKS = """
- name: Wait for the gate
  ansible.builtin.wait_for:
    path: "{{ gate }}"
    sleep: 1
  when: gate is defined
- name: Say that a part is ready
  reconcile_runner.util.k8s_status:
    api_version: moments.test/v1
    kind: Waited
    namespace: "{{ ansible_operator_meta.namespace }}"
    name: "{{ ansible_operator_meta.name }}"
    conditions:
      - type: Ready
        status: "True"
        reason: DatabaseUp
        message: The database answers
  when: own_ready | default(false)
- name: Fail where the object says so
  ansible.builtin.fail:
    msg: as asked
  when: broken | default(false)
"""

MOMENTS = {
    "is new": (UNSEEN, "new"),
    "is new, and its kind gives the status no default": (DEFAULTLESS, "new"),
    "is new and waits in the queue": (QUEUED, "second"),
    "is new and paused": (WAITED, "paused"),
    "is in its first run": (WAITED, "first-run"),
    "has succeeded": (WAITED, "succeeded"),
    "is in a further run of the same spec": (WAITED, "periodic"),
    "has a new spec and is paused": (WAITED, "changed-paused"),
    "has a new spec and is in its run": (WAITED, "changed"),
    "was changed during its run, which succeeded": (WAITED, "changed-in-run"),
    "has failed, and is tried again": (WAITED, "failing"),
    "has a new spec, which failed": (WAITED, "changed-failing"),
    "has a new spec, which failed; its role has written a `Ready` of its own": (WAITED, "own-ready"),
    "has failed, and is not tried again before it changes": (WAITED, "stalled"),
    "is in its run after that": (WAITED, "unstalled"),
    "is being deleted": (MORTAL, "deleting"),
}
"""Moments, as the page calls them, and the objects that are held there."""


@dataclass(frozen=True)
class World:
    """A control plane and the gates of its objects. Objects of one name differ in kind."""

    api: ApiServer
    directory: Path

    def path(self, kind: str, name: str = "") -> str:
        return f"/apis/{GROUP}/v1/namespaces/default/{kind.lower()}s{f'/{name}' if name else ''}"

    def create(self, kind: str, name: str, spec: Mapping[str, Any] | None = None, **annotations: str) -> None:
        names = {"paused": PAUSED, "period": PERIOD}
        metadata = {"name": name, "annotations": {names[each]: text for each, text in annotations.items()}}
        body = {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, "spec": dict(spec or {})}
        self.api.call("POST", self.path(kind), body)

    def patch(self, kind: str, name: str, spec: Mapping[str, Any] | None = None, **annotations: str | None) -> None:
        names = {"paused": PAUSED, "now": NOW, "period": PERIOD}
        changed = {names[each]: text for each, text in annotations.items()}
        body = {"metadata": {"annotations": changed}, "spec": dict(spec or {})}
        self.api.call("PATCH", self.path(kind, name), body, "application/merge-patch+json")

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return self.api.call("GET", self.path(kind, name))

    def gate(self, name: str, *, is_open: bool = False) -> dict[str, str]:
        """Return a spec whose run waits for a gate, until that is opened."""
        path = self.directory / f"gate-{name}"
        if is_open:
            path.touch()
        else:
            path.unlink(missing_ok=True)
        return {"gate": str(path)}

    def becomes(self, kind: str, name: str, wanted: str, status: str, reason: str = "") -> None:
        """Wait until an object has a condition."""

        def is_so() -> bool:
            conditions = self.get(kind, name).get("status", {}).get("conditions", [])
            return any(
                (each["type"], each["status"]) == (wanted, status) and reason in ("", each["reason"])
                for each in conditions
            )

        eventually(is_so, f"{wanted}={status} {reason} of {kind} {name}")

    def is_in_its_run(self, kind: str, name: str) -> None:
        self.becomes(kind, name, "Running", "True", "Running")


@pytest.fixture(scope="module")
def world(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("moments")
    _write_project(directory)
    crds.install(cluster.api, directory / "crds")
    made = World(cluster.api, directory)
    env = {"ANSIBLE_GATHERING": "explicit", "MAX_CONCURRENT_RECONCILES_QUEUED_MOMENTS_TEST": "1"}
    flags = ["--max-concurrent-reconciles=20"]
    with operator(cluster.kubeconfig, directory / "watches.yaml", flags=flags, env=env) as running:
        running.wait_ready()
        _begin(made)
        _change(made)
        yield made
        made.gate("deleting", is_open=True)
        eventually(lambda: made.api.request("GET", made.path(MORTAL, "deleting"))[0] == 404, "the object to be gone")


def _write_project(directory: Path) -> None:
    status = {
        "type": "object",
        "default": {"observedGeneration": -1},
        "properties": {
            "observedGeneration": {"type": "integer", "format": "int64"},
            "conditions": {
                "type": "array",
                "items": METAV1_CONDITION,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        },
    }
    (directory / "crds").mkdir()
    for kind in (WAITED, QUEUED, MORTAL, UNSEEN, DEFAULTLESS):
        definition = custom_resource_definition(GROUP, kind)
        schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        schema["properties"]["status"] = copy.deepcopy(status)
        if kind == DEFAULTLESS:
            del schema["properties"]["status"]["default"]
        (directory / "crds" / f"{kind}.yaml").write_text(yaml.safe_dump(definition))
    (directory / "role" / "tasks").mkdir(parents=True)
    (directory / "role" / "tasks" / "main.yml").write_text(TASKS)
    entry = {
        "group": GROUP,
        "version": "v1",
        "role": str(directory / "role"),
        "failureBackoff": {"base": "1h", "cap": "1h"},
    }
    mortal = {"finalizer": {"name": "moments.test/cleanup", "vars": {"phase": "cleanup"}}}
    entries = [{**entry, "kind": WAITED}, {**entry, "kind": QUEUED}, {**entry, "kind": MORTAL, **mortal}]
    (directory / "watches.yaml").write_text(yaml.safe_dump(entries))


def _begin(world: World) -> None:
    """Create every object, and wait for what comes before its moment."""
    world.create(UNSEEN, "new")
    world.create(DEFAULTLESS, "new")
    world.create(QUEUED, "first", world.gate("queued-first"))
    world.create(WAITED, "paused", paused="true")
    world.create(WAITED, "first-run", world.gate("first-run"))
    world.create(WAITED, "changed-in-run", world.gate("before-change"))
    world.create(WAITED, "failing", {"broken": True})
    for name in ("stalled", "unstalled"):
        world.create(WAITED, name, period="soon")
    for name in ("succeeded", "changed-paused", "changed", "changed-failing"):
        world.create(WAITED, name)
    world.create(WAITED, "own-ready", {"ownReady": True})
    world.create(WAITED, "periodic", world.gate("periodic", is_open=True))
    world.create(MORTAL, "deleting", world.gate("deleting", is_open=True))
    for kind, name in ((QUEUED, "first"), (WAITED, "first-run"), (WAITED, "changed-in-run")):
        world.is_in_its_run(kind, name)
    for name in ("stalled", "unstalled"):
        world.becomes(WAITED, name, "Stalled", "True")
    for name in ("succeeded", "periodic", "changed-paused", "changed", "changed-failing", "own-ready"):
        world.becomes(WAITED, name, "Successful", "True")
    world.becomes(MORTAL, "deleting", "Successful", "True")
    world.becomes(WAITED, "failing", "Failure", "True")


def _change(world: World) -> None:
    """Bring every object to its moment, and wait until it is there."""
    world.create(QUEUED, "second")
    world.patch(WAITED, "changed-paused", {"a": 1}, paused="true")
    world.patch(WAITED, "changed", world.gate("changed"))
    world.patch(WAITED, "changed-in-run", world.gate("after-change"))
    world.gate("before-change", is_open=True)
    world.patch(WAITED, "changed-failing", {"broken": True})
    world.patch(WAITED, "own-ready", {"broken": True, "ownReady": False})
    world.gate("periodic")
    world.patch(WAITED, "periodic", now="1")
    world.patch(WAITED, "unstalled", world.gate("unstalled"), period=None)
    world.gate("deleting")
    world.api.call("DELETE", world.path(MORTAL, "deleting"))
    eventually(lambda: world.get(WAITED, "changed-in-run")["status"]["observedGeneration"] == 1, "the older verdict")
    for name in ("periodic", "changed", "changed-in-run", "unstalled"):
        world.is_in_its_run(WAITED, name)
    world.is_in_its_run(MORTAL, "deleting")
    for name in ("changed-failing", "own-ready"):
        world.becomes(WAITED, name, "Failure", "True")


def kstatus(objects: list[dict[str, Any]]) -> list[str]:
    """Return what kstatus concludes of each object."""
    text = "\n".join(json.dumps(obj) for obj in objects)
    answer = subprocess.run([checkers.build(checkers.KSTATUS)], input=text, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.split()


def kubectl_waits(kubectl: Path, kubeconfig: Path, kind: str, name: str) -> bool:
    """Tell whether kubectl takes the object for ready."""
    command = [str(kubectl), "--kubeconfig", str(kubeconfig), "wait", f"{kind}.{GROUP}/{name}"]
    answer = subprocess.run(
        [*command, "--for=condition=Ready", "--timeout=0s"], capture_output=True, text=True, check=False
    )
    waits = ("condition not met", "timed out waiting for the condition")
    assert answer.returncode == 0 or any(text in answer.stderr for text in waits), answer.stderr
    return answer.returncode == 0


@pytest.fixture(scope="module")
def rows(world: World, cluster: Cluster) -> list[Row]:
    kubectl = find_kubectl()
    with ThreadPoolExecutor(2) as pool:
        met = list(pool.map(lambda held: kubectl_waits(kubectl, cluster.kubeconfig, *held), MOMENTS.values()))
    verdicts = kstatus([world.get(kind, name) for kind, name in MOMENTS.values()])
    return [Row(moment, verdict, is_met) for moment, verdict, is_met in zip(MOMENTS, verdicts, met, strict=True)]


def test_the_page_says_what_tools_conclude_at_each_moment(rows: list[Row]) -> None:
    table = statustable.rendered(rows)
    if os.environ.get("WRITE_STATUS_TABLE"):  # `make status-table`
        statustable.write(table)
    assert statustable.written() == table


def test_nothing_is_ready_between_a_change_and_its_verdict(rows: list[Row]) -> None:
    ready = {"has succeeded", "is in a further run of the same spec"}
    assert {row.moment for row in rows if row.is_met} == ready
    # What our kinds give their status is there because of the other one.
    assert {row.moment for row in rows if row.kstatus == "Current"} == ready | {
        "is new, and its kind gives the status no default"
    }


def test_what_is_not_tried_again_has_failed_and_what_is_deleted_is_terminating(rows: list[Row]) -> None:
    verdicts = {row.moment: row.kstatus for row in rows if row.kstatus not in ("Current", "InProgress")}
    assert verdicts == {
        "has failed, and is not tried again before it changes": "Failed",
        "is being deleted": "Terminating",
    }
