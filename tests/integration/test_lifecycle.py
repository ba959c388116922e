"""An object's life on a real API server: finalizers, pause, retries, what Events tell, what is left behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from reconcile_devcluster import crds
from reconcile_devcluster.api import ApiServer
from reconcile_devcluster.cluster import Cluster
from tests.support.controlplane import service_account_token
from tests.support.lifecycle import CLEANUP, FOREIGN, GROUP, KINDS, OWN_KINDS, PAUSED, Project, definition, thing
from tests.support.operator_process import OperatorProcess, eventually, operator

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Project:
    directory = tmp_path_factory.mktemp("lifecycle")
    (directory / "crds").mkdir()
    for kind in (*KINDS, *OWN_KINDS):
        (directory / "crds" / f"{kind}.yaml").write_text(yaml.safe_dump(definition(kind)))
    crds.install(cluster.api, directory / "crds")
    made = Project(directory)
    made.write(KINDS)
    return made


@pytest.fixture(scope="module")
def running(cluster: Cluster, project: Project) -> Iterator[OperatorProcess]:
    with operator(cluster.kubeconfig, project.watches, env={"ANSIBLE_GATHERING": "explicit"}) as process:
        process.wait_ready()
        yield process


@pytest.fixture
def api(cluster: Cluster) -> ApiServer:
    return cluster.api


@pytest.mark.parametrize("kind", ["Thing", "Played", "Reused"], ids=["role", "playbook", "vars alone"])
def test_a_deletion_runs_the_finalizer_and_then_the_object_goes(
    kind: str, running: OperatorProcess, project: Project, api: ApiServer
) -> None:
    made = thing(api, kind).create()
    made.becomes_ready()
    assert made.finalizers == [CLEANUP]
    made.delete()
    made.goes()
    assert project.noted(made.name) == ["run", "end of run", "cleanup", "end of cleanup"]
    running.wait_for_message("finalized", name=made.name)


def test_a_deletion_in_the_middle_of_a_run_lets_it_end_and_runs_the_finalizer_after_it(
    running: OperatorProcess, project: Project, api: ApiServer
) -> None:
    gate = project.directory / "gate"
    made = thing(api).create({"gate": str(gate)})
    eventually(lambda: project.noted(made.name) == ["run"], "the run to be under way")
    assert made.finalizers == [CLEANUP]
    made.delete()
    gate.touch()
    made.goes()
    assert project.noted(made.name) == ["run", "end of run", "cleanup", "end of cleanup"]


def test_a_finalizer_that_fails_keeps_the_object_says_why_and_is_tried_again(
    running: OperatorProcess, api: ApiServer, project: Project
) -> None:
    made = thing(api).create({"broken": "cleanup"})
    made.becomes_ready()
    made.delete()
    eventually(lambda: made.condition("Failure").get("status") == "True", "a Failure condition")
    place = f"{project.directory}/cleanup/tasks/main.yml:9"
    message = f"finalizer {CLEANUP}: Look into it ({place}): cleanup is not possible"
    assert made.condition("Failure")["message"] == message
    assert made.finalizers == [CLEANUP]
    eventually(lambda: len(running.messages("reconcile failed", name=made.name)) > 2, "retries")
    delays = [line["requeue_after_seconds"] for line in running.messages("reconcile failed", name=made.name)]
    assert delays[:3] == [1.0, 2.0, 2.0]
    eventually(lambda: ("Warning", "FinalizerFailed", message) in made.events(), "an Event")
    made.patch({"spec": {"broken": ""}})
    made.goes()


def test_the_finalizers_of_others_stay_and_keep_the_object(
    running: OperatorProcess, project: Project, api: ApiServer
) -> None:
    made = thing(api).create(finalizers=[FOREIGN])
    made.becomes_ready()
    assert made.finalizers == [FOREIGN, CLEANUP]
    made.delete()
    eventually(lambda: made.finalizers == [FOREIGN], "our finalizer to be taken off")
    made.patch({"metadata": {"labels": {"still": "here"}, "finalizers": []}})
    made.goes()
    assert project.noted(made.name).count("cleanup") == 1


def test_an_object_that_is_deleted_without_our_finalizer_is_not_run_for(
    running: OperatorProcess, project: Project, api: ApiServer
) -> None:
    made = thing(api).create(finalizers=[FOREIGN], annotations={PAUSED: "true"})
    made.delete()
    made.annotate(paused=None)
    other = thing(api).create()
    other.becomes_ready()
    assert (made.finalizers, project.noted(made.name)) == ([FOREIGN], [])
    made.patch({"metadata": {"finalizers": []}})


def test_what_was_deleted_while_no_operator_ran_is_cleaned_up_whoever_put_the_finalizer_on(
    cluster: Cluster, project: Project, api: ApiServer, tmp_path: Path
) -> None:
    own = Project(tmp_path)
    own.write({"Orphan": KINDS["Thing"]})
    made = thing(api, "Orphan").create(finalizers=[CLEANUP])
    made.delete()
    with operator(cluster.kubeconfig, own.watches, env={"ANSIBLE_GATHERING": "explicit"}):
        made.goes()
    assert own.noted(made.name) == ["cleanup", "end of cleanup"]


def test_an_operator_that_is_killed_in_a_finalizers_run_finishes_it_after_its_next_start(
    cluster: Cluster, project: Project, api: ApiServer, tmp_path: Path
) -> None:
    own, gate = Project(tmp_path), tmp_path / "gate"
    own.write({"Killed": KINDS["Thing"]})
    gate.touch()
    env = {"ANSIBLE_GATHERING": "explicit"}
    with operator(cluster.kubeconfig, own.watches, env=env) as process:
        made = thing(api, "Killed").create({"gate": str(gate)})
        made.becomes_ready()
        gate.unlink()
        made.delete()
        eventually(lambda: own.noted(made.name)[-1] == "cleanup", "the finalizer's run to be under way")
        process.stop(signal.SIGKILL)
    assert made.finalizers == [CLEANUP]
    gate.touch()
    with operator(cluster.kubeconfig, own.watches, env=env):
        made.goes()
    assert own.noted(made.name)[-2:] == ["cleanup", "end of cleanup"]


def test_a_paused_object_waits_and_runs_when_it_is_resumed(
    running: OperatorProcess, project: Project, api: ApiServer
) -> None:
    made = thing(api).create(annotations={PAUSED: "true"})
    eventually(lambda: [reason for _, reason, _ in made.events()] == ["Paused"], "an Event about the pause")
    assert (project.noted(made.name), made.finalizers) == ([], [])
    made.annotate(paused=None)
    made.becomes_ready()


def test_a_run_can_be_asked_for_at_once(running: OperatorProcess, project: Project, api: ApiServer) -> None:
    made = thing(api).create()
    made.becomes_ready()
    for moment in ("1", "2"):
        before = len(project.noted(made.name))
        made.annotate(now=moment)
        eventually(lambda before=before: len(project.noted(made.name)) == before + 2, "another run")  # type: ignore[misc]


def test_a_change_of_labels_reconciles_where_a_trigger_on_the_own_kind_says_so(
    running: OperatorProcess, project: Project, api: ApiServer
) -> None:
    made = thing(api, "Labelled").create()
    made.becomes_ready()
    made.patch({"metadata": {"labels": {"colour": "blue"}}})
    eventually(lambda: project.noted(made.name).count("end of run") == 2, "a second run")
    message = f"Labelled default/{made.name} was updated"
    eventually(lambda: ("Normal", "Triggered", message) in made.events(), "an Event about the trigger")


def test_events_tell_of_each_change_of_the_outcome(running: OperatorProcess, api: ApiServer, project: Project) -> None:
    made = thing(api).create({"broken": "run"})
    place = f"{project.directory}/thing/tasks/main.yml:9"
    failed = ("Warning", "ReconcileFailed", f"Look into it ({place}): run is not possible")
    eventually(lambda: made.events() == [failed], "an Event about the failure")
    made.patch({"spec": {"broken": ""}})
    eventually(lambda: ("Normal", "Reconciled", "The last run succeeded") in made.events(), "a second one")
    assert len(made.events()) == 2


def test_upstreams_status_is_upstreams_and_conditions_of_others_keep_their_fields(
    running: OperatorProcess, api: ApiServer
) -> None:
    made = thing(api, "Plain").create(annotations={PAUSED: "true"})
    foreign = {"type": "Happy", "status": "True", "observedGeneration": 4, "lastHeartbeatTime": "2026-01-01T00:00:00Z"}
    status = {"status": {"happy": True, "conditions": [foreign]}}
    api.call("PATCH", f"{made.path}/status", status, "application/merge-patch+json")
    made.annotate(paused=None)
    eventually(lambda: made.condition("Successful").get("status") == "True", "a success")
    written = made.get()["status"]
    assert [condition["type"] for condition in written["conditions"]] == ["Happy", "Running", "Successful", "Failure"]
    assert written["conditions"][0] == foreign
    assert (written["happy"], "observedGeneration" in written) == (True, False)
    assert made.condition("Running")["ansibleResult"]["ok"] > 0


def test_nothing_is_left_behind(cluster: Cluster, project: Project, api: ApiServer, tmp_path: Path) -> None:
    directory = tmp_path / "runs"
    left = directory / GROUP / "v1" / "Mortal" / "default" / "deleted-long-ago"
    (left / "env").mkdir(parents=True)
    (left / "kubeconfig").touch()
    own = Project(tmp_path)
    own.write({"Mortal": {}})
    flags = ["--runner-dir", str(directory), "--max-artifacts-size=0"]
    with operator(cluster.kubeconfig, own.watches, flags=flags, env={"ANSIBLE_GATHERING": "explicit"}) as process:
        made = thing(api, "Mortal").create()
        made.becomes_ready()
        eventually(lambda: not left.exists(), "the directory of an object that is gone to be removed")
        place = directory / GROUP / "v1" / "Mortal" / "default" / made.name
        eventually(lambda: [each.name for each in (place / "artifacts").iterdir()] == ["latest"], "no artifacts")
        made.delete()
        eventually(lambda: not place.exists(), "the object's directory to be removed")
        assert process.stop() == 0


def test_without_the_right_to_create_events_there_is_one_warning_and_no_failure(
    cluster: Cluster, project: Project, api: ApiServer, tmp_path: Path
) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    rules = [{"apiGroups": [GROUP], "resources": ["*"], "verbs": ["*"]}]
    api.call("POST", f"{rbac}/clusterroles", {"metadata": {"name": "life"}, "rules": rules})
    api.call(
        "POST",
        f"{rbac}/clusterrolebindings",
        {
            "metadata": {"name": "life"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "life"},
            "subjects": [{"kind": "ServiceAccount", "name": "eventless", "namespace": "default"}],
        },
    )
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": service_account_token(api, "default", "eventless")}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    own = Project(tmp_path)
    own.write({"Quiet": {}})
    env = {"ANSIBLE_GATHERING": "explicit"}
    with operator(kubeconfig, own.watches, env=env) as process:
        made = [thing(api, "Quiet").create() for _ in range(3)]
        for each in made:
            each.becomes_ready()
        process.wait_for_message("no events are recorded: the operator lacks the right to create and patch them")
        assert len([line for line in process.lines if line.get("logger") == "recorder"]) == 1
        assert made[0].events() == []


def test_runs_of_all_kinds_together_are_held_to_one_limit(
    cluster: Cluster, project: Project, api: ApiServer, tmp_path: Path
) -> None:
    own = Project(tmp_path)
    own.write({"First": {}, "Second": {}})
    made = [thing(api, kind).create() for kind in ("First", "Second") for _ in range(3)]
    flags = ["--max-concurrent-runs=1", "--max-concurrent-reconciles=3"]
    with operator(cluster.kubeconfig, own.watches, flags=flags, env={"ANSIBLE_GATHERING": "explicit"}):
        for each in made:
            each.becomes_ready()
    lines = [line for line in own.diary.read_text().splitlines() if line.rpartition(" ")[2] in {m.name for m in made}]
    assert [lines[at + 1] for at in range(0, len(lines), 2)] == [
        f"end of {lines[at]}" for at in range(0, len(lines), 2)
    ]
