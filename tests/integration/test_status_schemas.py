"""Slow, failing and periodic roles on kinds whose status is written down as generators and projects do.

Every state of every object is read from the API server's history afterwards. The periodic runs are the clock: when each
kind has had some of them, what should have happened once would have happened again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile_devcluster import crds
from reconcile_devcluster.api import ApiServer
from reconcile_devcluster.cluster import Cluster
from tests.support.operator_process import OperatorProcess, eventually, operator
from tests.support.schemas import StatusSchema

pytestmark = [pytest.mark.timeout(300), pytest.mark.exhaustive]

GROUP = "schemas.test"
SLOW, FAILING, PERIODIC = "slow", "failing", "periodic"
PERIODIC_RUNS, FAILING_RUNS = 4, 2
REFUSED, CANNOT = "the status is refused: trying to write it again", "the status cannot be written"

TASKS = """
- name: Take longer than a run that is not announced
  ansible.builtin.wait_for:
    timeout: 2
- name: Fail where the object says so
  ansible.builtin.fail:
    msg: as asked
  when: broken | default(false)
"""

KubeObject = dict[str, Any]


@dataclass(frozen=True)
class World:
    """Objects of every schema, and the operator that reconciled them."""

    api: ApiServer
    running: OperatorProcess
    since: dict[StatusSchema, str]

    def path(self, schema: StatusSchema, name: str = "") -> str:
        return f"/apis/{GROUP}/v1/namespaces/default/{schema.kind.lower()}s{f'/{name}' if name else ''}"

    def create(self, schema: StatusSchema, name: str) -> None:
        period = {"ansible.sdk.operatorframework.io/reconcile-period": "1s" if name == PERIODIC else "0s"}
        body = {"apiVersion": f"{GROUP}/v1", "kind": schema.kind, "spec": {"broken": name == FAILING}}
        metadata = {"name": self.name(schema, name), "annotations": period}
        self.api.call("POST", self.path(schema), {**body, "metadata": metadata})

    def name(self, schema: StatusSchema, name: str) -> str:
        return f"{schema.kind.lower()}-{name}"

    def runs(self, schema: StatusSchema, name: str) -> int:
        return self.running.runs(self.name(schema, name))

    def has_run(self, schema: StatusSchema) -> bool:
        """Tell whether the periodic object has had its runs, and the others at least theirs."""
        periodic, slow, failing = (self.name(schema, name) for name in (PERIODIC, SLOW, FAILING))
        messages = self.running.messages
        return (
            len(messages("reconciled", name=periodic)) >= PERIODIC_RUNS
            and len(messages("reconciled", name=slow)) >= 1
            and len(messages("reconcile failed", name=failing)) >= FAILING_RUNS
        )

    def history(self, schema: StatusSchema, name: str) -> list[KubeObject]:
        """Return every state that the object has had."""
        query = f"watch=1&timeoutSeconds=1&resourceVersion={self.since[schema]}"
        field = f"fieldSelector=metadata.name%3D{self.name(schema, name)}"
        status, text = self.api.request("GET", f"{self.path(schema)}?{query}&{field}")
        assert status == 200, text
        events = [json.loads(line) for line in text.splitlines()]
        assert {event["type"] for event in events} <= {"ADDED", "MODIFIED"}
        return [event["object"] for event in events]


@pytest.fixture(scope="module")
def world(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("schemas")
    (directory / "crds").mkdir()
    for schema in StatusSchema:
        (directory / "crds" / f"{schema.kind}.yaml").write_text(yaml.safe_dump(schema.definition(GROUP)))
    crds.install(cluster.api, directory / "crds")
    watches = _write_watches(directory, [schema.kind for schema in StatusSchema])
    flags = ["--max-concurrent-reconciles=3"]
    with operator(cluster.kubeconfig, watches, flags=flags, env={"ANSIBLE_GATHERING": "explicit"}) as running:
        running.wait_ready()
        made = World(cluster.api, running, {})
        for schema in StatusSchema:
            listed = cluster.api.call("GET", made.path(schema))
            made.since[schema] = listed["metadata"]["resourceVersion"]
            for name in (SLOW, FAILING, PERIODIC):
                made.create(schema, name)
        for schema in StatusSchema:
            eventually(lambda schema=schema: made.has_run(schema), f"the runs of {schema.kind}")  # type: ignore[misc]
        yield made


def _write_watches(directory: Path, kinds: list[str]) -> Path:
    (directory / "role" / "tasks").mkdir(parents=True)
    (directory / "role" / "tasks" / "main.yml").write_text(TASKS)
    entry = {
        "group": GROUP,
        "version": "v1",
        "role": str(directory / "role"),
        "failureBackoff": {"base": "2s", "cap": "1h"},
    }
    path = directory / "watches.yaml"
    path.write_text(yaml.safe_dump([{**entry, "kind": kind} for kind in kinds]))
    return path


def ready(obj: KubeObject) -> str | None:
    """Return the status of ``Ready``, None where there is none."""
    conditions = obj.get("status", {}).get("conditions", [])
    return next((condition.get("status") for condition in conditions if condition["type"] == "Ready"), None)


def verdicts(world: World, schema: StatusSchema, name: str) -> list[str]:
    """Return what ``Ready`` said after its first verdict, in order and each once in a row."""
    found = [value for value in map(ready, world.history(schema, name)) if value is not None]
    decided = [value for position, value in enumerate(found) if {"True", "False"} & set(found[: position + 1])]
    return [value for position, value in enumerate(decided) if position == 0 or decided[position - 1] != value]


@pytest.mark.parametrize("schema", list(StatusSchema), ids=lambda schema: schema.name)
@pytest.mark.parametrize(
    ("name", "expected"), [(SLOW, ["True"]), (FAILING, ["False"]), (PERIODIC, ["True"])], ids=[SLOW, FAILING, PERIODIC]
)
def test_one_generation_has_one_verdict_on_every_schema(
    world: World, schema: StatusSchema, name: str, expected: list[str]
) -> None:
    assert verdicts(world, schema, name) == (expected if schema.keeps_verdicts else [])
    generations = {obj["metadata"]["generation"] for obj in world.history(schema, name)}
    assert schema.has_subresource is False or generations == {1}
    refusals = world.running.messages(REFUSED) + world.running.messages(CANNOT)
    assert [line for line in refusals if line.get("name") == world.name(schema, name)] == []


@pytest.mark.parametrize("schema", list(StatusSchema), ids=lambda schema: schema.name)
def test_a_slow_run_is_not_run_again_because_of_its_own_status(world: World, schema: StatusSchema) -> None:
    assert world.runs(schema, SLOW) == 1
    obj = world.history(schema, SLOW)[-1]
    if schema.keeps_generation:
        assert obj["status"]["observedGeneration"] == obj["metadata"]["generation"]


@pytest.mark.parametrize("schema", list(StatusSchema), ids=lambda schema: schema.name)
def test_a_failing_run_waits_longer_each_time(world: World, schema: StatusSchema) -> None:
    lines = world.running.messages("reconcile failed", name=world.name(schema, FAILING))
    assert [line["failures"] for line in lines] == list(range(1, len(lines) + 1))


@pytest.mark.parametrize("schema", list(StatusSchema), ids=lambda schema: schema.name)
def test_a_periodic_run_writes_no_more_than_its_announcement_and_verdict(world: World, schema: StatusSchema) -> None:
    states, runs = world.history(schema, PERIODIC), world.runs(schema, PERIODIC)
    announces = schema.has_subresource and schema is not StatusSchema.NO_CONDITIONS
    # Created, Running and the verdict; then a pair for each run, where a run is announced at all.
    assert len(states) <= (1 + 2 * runs if announces else 3)


def test_a_status_that_the_schema_refuses_is_told_and_written_as_soon_as_it_is_taken(
    cluster: Cluster, tmp_path: Path
) -> None:
    schema = StatusSchema.CONTROLLER_GEN
    definition = schema.definition("refusing.test")
    conditions = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"][
        "conditions"
    ]
    conditions["maxItems"] = 1
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds" / "refusing.yaml").write_text(yaml.safe_dump(definition))
    crds.install(cluster.api, tmp_path / "crds")
    watches = _write_watches(tmp_path, [schema.kind])
    watches.write_text(watches.read_text().replace(GROUP, "refusing.test"))
    path = f"/apis/refusing.test/v1/namespaces/default/{schema.kind.lower()}s"
    body = {"apiVersion": "refusing.test/v1", "kind": schema.kind, "metadata": {"name": "refused"}, "spec": {}}
    with operator(cluster.kubeconfig, watches, env={"ANSIBLE_GATHERING": "explicit"}) as running:
        running.wait_ready()
        cluster.api.call("POST", path, body)
        line = running.wait_for_message(REFUSED, name="refused")
        assert (line["level"], "status.conditions" in line["error"]) == ("warn", True), line
        eventually(lambda: _events(cluster.api, "refused") == ["StatusRefused"], "an Event")
        crd = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition['metadata']['name']}"
        del conditions["maxItems"]
        cluster.api.call("PATCH", crd, {"spec": definition["spec"]}, "application/merge-patch+json")
        eventually(lambda: ready(cluster.api.call("GET", f"{path}/refused")) == "True", "the status")
        assert running.runs("refused") == 1
        assert running.wait_for_message("the refused status is written", name="refused")["tries"] > 1
        metric = next(
            line for line in running.metrics().splitlines() if line.startswith("reconcile_runner_status_refused_total{")
        )
        assert float(metric.rpartition(" ")[2]) >= 1


UPSTREAM_STYLE = (StatusSchema.CONTROLLER_GEN, StatusSchema.FLUX, StatusSchema.PLAIN_METAV1)
"""Schemas that refuse a condition without a reason, which upstream's style writes."""
TRIES = 3


def test_an_empty_reason_of_upstreams_style_is_refused_and_starts_no_run(cluster: Cluster, tmp_path: Path) -> None:
    group = "upstreamed.test"
    (tmp_path / "crds").mkdir()
    for schema in UPSTREAM_STYLE:
        (tmp_path / "crds" / f"{schema.kind}.yaml").write_text(yaml.safe_dump(schema.definition(group)))
    crds.install(cluster.api, tmp_path / "crds")
    watches = _write_watches(tmp_path, [schema.kind for schema in UPSTREAM_STYLE])
    entries = yaml.safe_load(watches.read_text())
    watches.write_text(yaml.safe_dump([{**entry, "group": group, "upstreamStatus": True} for entry in entries]))
    paths = {s.kind: f"/apis/{group}/v1/namespaces/default/{s.kind.lower()}s" for s in UPSTREAM_STYLE}
    with operator(cluster.kubeconfig, watches, env={"ANSIBLE_GATHERING": "explicit"}) as running:
        running.wait_ready()
        for kind, path in paths.items():
            body = {"apiVersion": f"{group}/v1", "kind": kind, "metadata": {"name": kind.lower()}, "spec": {}}
            cluster.api.call("POST", path, body)
        for kind in paths:
            line = running.wait_for_message(REFUSED, name=kind.lower())
            assert (line["level"], "reason" in line["error"]) == ("warn", True), line
            eventually(lambda kind=kind: _refusals(running, kind) >= TRIES, f"further tries for {kind}")  # type: ignore[misc]
            assert _events(cluster.api, kind.lower()) == ["StatusRefused"]
        assert {kind: running.runs(kind.lower()) for kind in paths} == dict.fromkeys(paths, 1)
        for kind, path in paths.items():
            cluster.api.call("PATCH", f"{path}/{kind.lower()}", {"spec": {"size": 2}}, "application/merge-patch+json")
            eventually(lambda kind=kind: running.runs(kind.lower()) == 2, f"the run for an edit of {kind}")  # type: ignore[misc]


def _refusals(running: OperatorProcess, kind: str) -> float:
    """Return how often statuses of a kind were refused."""
    lines = [line for line in running.metrics().splitlines() if "status_refused_total{" in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines if f'"{kind.lower()}' in line)


def _events(api: ApiServer, name: str) -> list[str]:
    items = api.call("GET", "/api/v1/namespaces/default/events")["items"]
    return [item["reason"] for item in items if item["involvedObject"].get("name") == name]
