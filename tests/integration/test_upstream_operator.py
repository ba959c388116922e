"""An operator directory that was written for ansible-operator, served without an edit: what its users see of it."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconcile_devcluster import crds
from reconcile_devcluster.cluster import Cluster
from tests.support.hosting import (
    GROUP,
    OLD_CONDITIONS,
    PRIORITY_CLASSES,
    PROJECT,
    Hosted,
    Tenancy,
    hosting_operator,
    prometheus_token,
)
from tests.support.operator_process import OperatorProcess, eventually
from tests.support.scraping import scrape

pytestmark = pytest.mark.timeout(300)

NAMESPACE, SHARED, OTHER_ENGINE = "hosting", "hosting-shared", "hosting-subprocess"

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def tenancy(cluster: Cluster) -> Tenancy:
    crds.install(cluster.api, PROJECT / "config" / "crd" / "bases")
    for namespace in (NAMESPACE, SHARED, OTHER_ENGINE):
        cluster.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    return Tenancy(cluster.api, NAMESPACE)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hosting")


@pytest.fixture(scope="module")
def inherited(tenancy: Tenancy) -> tuple[Hosted, Hosted]:
    """Return a Site and a Backup, which is on its way out, that another operator served before this one starts."""
    site = tenancy.sample("Site", "inherited", finalizers=[f"{GROUP}/site-teardown"])
    site.merge({"status": {"conditions": OLD_CONDITIONS, "url": "https://old/"}}, "/status")
    backup = tenancy.sample("Backup", "leaving", finalizers=[f"{GROUP}/backup-removal"])
    backup.delete()
    return site, backup


@pytest.fixture(scope="module")
def running(
    cluster: Cluster, tenancy: Tenancy, inherited: tuple[Hosted, Hosted], directory: Path
) -> Iterator[OperatorProcess]:
    with hosting_operator(cluster, directory, [NAMESPACE, SHARED]) as process:
        yield process


@pytest.fixture(scope="module")
def site(running: OperatorProcess, tenancy: Tenancy) -> Hosted:
    """Return a Site that was reconciled."""
    return tenancy.sample("Site", "first", {"sharedNamespace": SHARED}).succeeds()


def a_name(prefix: str) -> str:
    return f"{prefix}-{next(_numbers)}"


def runs_dir(directory: Path, kind: str, name: str, namespace: str = NAMESPACE) -> Path:
    return directory / "runs" / GROUP / "v1alpha1" / kind / namespace / name


def artifacts(place: Path) -> list[Path]:
    return [run for run in (place / "artifacts").iterdir() if run.name != "latest"]


@dataclass(frozen=True)
class Prometheus:
    """Reads the operator's metrics, which the manifest serves to who may alone."""

    running: OperatorProcess
    token: str

    def samples(self, metric: str, *labels: str) -> list[float]:
        """Return the values of a metric whose labels hold all of the texts."""
        status, text = scrape(self.running, self.token)
        assert status == 200
        lines = [line for line in text.splitlines() if line.startswith((f"{metric}{{", f"{metric} "))]
        return [float(line.rpartition(" ")[2]) for line in lines if all(label in line for label in labels)]


@pytest.fixture(scope="module")
def prometheus(cluster: Cluster, running: OperatorProcess) -> Prometheus:
    return Prometheus(running, prometheus_token(cluster))


def while_another_is_reconciled(tenancy: Tenancy) -> None:
    """Let so much time pass that what was to happen before this would have happened."""
    name = a_name("bystander")
    tenancy.sample("Site", name).succeeds()
    tenancy.find("Deployment", name).comes_back()


@pytest.mark.exhaustive
def test_what_the_old_operator_began_is_finished(running: OperatorProcess, inherited: tuple[Hosted, Hosted]) -> None:
    site, backup = inherited
    backup.goes()
    site.succeeds()
    types = [it["type"] for it in site.status["conditions"]]
    assert sorted(types) == ["Failure", "Published", "Ready", "Running", "Successful"]
    assert (site.condition("Running")["reason"], site.condition("Ready")["status"]) == ("Successful", "True")
    assert site.condition("Failure")["lastTransitionTime"] == "2026-01-02T03:04:00Z"
    assert site.get()["metadata"]["finalizers"] == [f"{GROUP}/site-teardown"]


def test_flags_and_variables_of_its_manifest_are_obeyed(
    running: OperatorProcess, prometheus: Prometheus, tenancy: Tenancy, site: Hosted
) -> None:
    workers = {
        kind: prometheus.samples("controller_runtime_max_concurrent_reconciles", f'controller="{kind}-')
        for kind in ("site", "backup", "secret")
    }
    assert workers == {"site": [3], "backup": [1], "secret": [2]}
    assert running.probe("/healthz")[0] == 200
    lease = tenancy.api.call("GET", "/apis/coordination.k8s.io/v1/namespaces/default/leases/hosting-operator")
    assert lease["spec"]["holderIdentity"] == running.messages("leading")[0]["identity"]
    assert prometheus.samples("leader_election_master_status", 'name="hosting-operator"') == [1]
    assert scrape(running)[0] == 401
    assert running.messages("environment", warning=_deprecated("BACKUP"))
    warned = [line["warning"] for line in running.messages("watches file")]
    assert any("maxWorkers: is not a known key" in text for text in warned)
    assert any("role: is ignored, because playbook is set" in text for text in warned)


def _deprecated(kind: str) -> str:
    suffix = f"{kind}_HOSTING_EXAMPLE_ORG"
    return f"WORKER_{suffix} is deprecated, use MAX_CONCURRENT_RECONCILES_{suffix}"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("display-name", "Sample"),
        ("pod-ips", '["10.1.0.1", "10.1.0.2"]'),
        ("labels", '{"cost_center": "42"}'),
        ("banner", "{{ 1 + 1 }}"),
        ("edition", "community"),
        ("raw-name", "Sample"),
        ("kind", "hosting.example.org/v1alpha1 Site"),
        ("meta", '{"name": "first", "namespace": "hosting"}'),
        ("home", "hosting"),
        ("facts", "0"),
    ],
)
def test_a_role_is_given_what_upstream_gives_it(tenancy: Tenancy, site: Hosted, key: str, value: str) -> None:
    assert tenancy.find("ConfigMap", "first-facts").data[key] == value


def test_conditions_fields_and_events_are_written(tenancy: Tenancy, site: Hosted) -> None:
    said = {
        it["type"]: (it["status"], it["reason"], it["message"])
        for it in site.status["conditions"]
        if it["type"] != "Ready"
    }
    assert said == {
        "Published": ("True", "Deployed", "the site is being served"),
        "Running": ("True", "Successful", "Awaiting next reconciliation"),
        "Successful": ("True", "Successful", "Last reconciliation succeeded"),
        "Failure": ("False", "Successful", ""),
    }
    assert site.status["url"] == "https://10.0.0.10:8443/"
    assert site.condition("Running")["ansibleResult"]["failures"] == 0
    assert site.get()["metadata"]["finalizers"] == [f"{GROUP}/site-teardown"]
    event = tenancy.find("Event", "first.published").get()
    assert (event["reason"], event["involvedObject"]["uid"]) == ("Published", site.uid)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("Secret", "first-admin"), ("Deployment", "first"), ("ConfigMap", "first-facts"), ("ServiceAccount", "first")],
)
def test_what_a_role_makes_beside_its_object_has_an_owner_reference(
    tenancy: Tenancy, site: Hosted, kind: str, name: str
) -> None:
    reference = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "Site", "name": "first", "uid": site.uid}
    assert tenancy.find(kind, name).get()["metadata"]["ownerReferences"] == [reference]


def elsewhere(tenancy: Tenancy, place: str) -> Hosted:
    """Return the objects of the first Site that no owner reference can lead to its owner."""
    if place == "the cluster":
        return Hosted(tenancy.api, PRIORITY_CLASSES, "hosting-first")
    return Tenancy(tenancy.api, SHARED).find("ConfigMap", "hosting-first")


@pytest.mark.parametrize("place", ["the cluster", "another namespace"])
def test_what_a_role_makes_elsewhere_has_annotations(tenancy: Tenancy, site: Hosted, place: str) -> None:
    metadata = elsewhere(tenancy, place).get()["metadata"]
    assert "ownerReferences" not in metadata
    assert metadata["annotations"] == {
        "operator-sdk/primary-resource": "hosting/first",
        "operator-sdk/primary-resource-type": "Site.hosting.example.org",
    }


@pytest.mark.parametrize("place", ["the cluster", "another namespace"])
def test_what_is_deleted_elsewhere_comes_back(tenancy: Tenancy, site: Hosted, place: str) -> None:
    elsewhere(tenancy, place).comes_back()


@pytest.mark.parametrize(("kind", "name"), [("Deployment", "first"), ("Secret", "first-admin")])
def test_what_is_deleted_beside_its_object_comes_back(tenancy: Tenancy, site: Hosted, kind: str, name: str) -> None:
    tenancy.find(kind, name).comes_back()


def test_a_changed_dependent_is_changed_back_and_its_status_starts_nothing(
    running: OperatorProcess, tenancy: Tenancy
) -> None:
    name = a_name("changed")
    tenancy.sample("Site", name).succeeds()
    deployment = tenancy.find("Deployment", name)
    deployment.merge({"spec": {"replicas": 7}})
    eventually(lambda: deployment.get()["spec"]["replicas"] == 2, "the number of replicas that the role says")
    eventually(lambda: len(running.messages("reconciled", name=name)) == running.runs(name), "no run under way")
    runs = running.runs(name)
    deployment.merge({"status": {"replicas": 1, "observedGeneration": 1}}, "/status")
    while_another_is_reconciled(tenancy)
    assert running.runs(name) == runs


def test_a_blacklisted_kind_and_changes_of_labels_and_status_start_nothing(
    running: OperatorProcess, tenancy: Tenancy
) -> None:
    name = a_name("quiet")
    made = tenancy.sample("Site", name).succeeds()
    running.wait_for_message("reconciled", name=name)
    account = tenancy.find("ServiceAccount", name)
    account.delete()
    made.merge({"metadata": {"labels": {"some": "label"}, "annotations": {"some": "annotation"}}})
    made.merge({"status": {"seen": "by somebody"}}, "/status")
    while_another_is_reconciled(tenancy)
    assert not account.get()
    assert running.runs(name) == 1
    assert made.status["seen"] == "by somebody"


def test_a_failure_is_written_down_and_tried_again_and_a_new_spec_mends_it(
    running: OperatorProcess, tenancy: Tenancy
) -> None:
    name = a_name("broken")
    made = tenancy.sample("Site", name, {"broken": True})
    eventually(lambda: made.condition("Failure").get("status") == "True", "the failure")
    assert made.condition("Failure")["reason"] == "Failed"
    assert f"the site {name} is broken" in made.condition("Failure")["message"]
    assert made.condition("Failure")["ansibleResult"]["failures"] == 1
    eventually(lambda: running.runs(name) > 2, "retries")
    assert made.condition("Successful")["status"] == "False"
    made.merge({"spec": {"broken": False}})
    made.succeeds()
    assert made.condition("Failure")["status"] == "False"


def test_the_role_of_a_finalizer_runs_with_variables_of_its_own(tenancy: Tenancy) -> None:
    name = a_name("mortal")
    made = tenancy.sample("Site", name).succeeds()
    rank = Hosted(tenancy.api, PRIORITY_CLASSES, f"hosting-{name}")
    assert rank.get()
    made.delete()
    made.goes()
    obituary = {"reason": f"{name} was deleted", "display-name": "Sample"}
    assert tenancy.find("ConfigMap", f"obituary-{name}").data == obituary
    assert not rank.get()


def test_the_annotations_of_an_object_win(running: OperatorProcess, tenancy: Tenancy, directory: Path) -> None:
    name = a_name("annotated")
    wanted = {"reconcile-period": "1s", "max-runner-artifacts": "1", "verbosity": "4"}
    annotations = {f"ansible.sdk.operatorframework.io/{key}": text for key, text in wanted.items()}
    made = tenancy.sample("Report", name, annotations=annotations)
    eventually(lambda: running.runs(name) >= 3, "runs by the period of the annotation")
    made.annotate(reconcile_period="0s")
    place = runs_dir(directory, "Report", name)
    eventually(lambda: len(artifacts(place)) == 1, "the artifacts of one run")
    assert "-vvvv" in json.loads((place / "artifacts" / "latest" / "command").read_text())["command"]
    made.delete()


def test_a_playbook_wins_over_a_role_and_runs_again_when_it_asks_for_it(
    running: OperatorProcess, tenancy: Tenancy, directory: Path
) -> None:
    name = a_name("backup")
    made = tenancy.sample("Backup", name)
    copies = tenancy.find("ConfigMap", f"{name}-copies")
    eventually(lambda: made.status.get("copies") == 3, "three copies, made in three runs")
    made.succeeds()
    assert copies.data == {"number": "3", "site": "site-sample", "storage_class": "cold"}
    assert running.runs(name) >= 3
    place = runs_dir(directory, "Backup", name)
    assert len(artifacts(place)) <= 3, "two, and one more while a run goes on"
    made.delete()
    made.goes()
    assert not copies.get()
    eventually(lambda: not place.exists(), "its directory to be gone with it")


@pytest.mark.parametrize("labels", [{}, {"backup": "enabled", "tier": "scratch"}], ids=["no label", "excluded"])
def test_an_object_that_the_selector_leaves_out_is_not_run_for_until_it_is_chosen(
    running: OperatorProcess, tenancy: Tenancy, labels: dict[str, str]
) -> None:
    name = a_name("unselected")
    made = tenancy.sample("Backup", name, {"wantedCopies": 1}, labels=labels)
    tenancy.sample("Backup", a_name("selected"), {"wantedCopies": 1}).succeeds()
    assert running.runs(name) == 0
    assert "finalizers" not in made.get()["metadata"]
    made.merge({"metadata": {"labels": {"backup": "enabled", "tier": "gold"}}})
    made.succeeds()


def test_a_role_of_a_collection_serves_a_cluster_scoped_kind_and_its_finalizer_is_variables_alone(
    running: OperatorProcess, tenancy: Tenancy, directory: Path
) -> None:
    name = a_name("tenant")
    made = tenancy.sample("Tenant", name, {"homeNamespace": NAMESPACE}).succeeds()
    home = tenancy.find("ConfigMap", f"home-of-{name}")
    assert home.data["contact"] == "mailto:{{ lookup('env', 'HOME') }}"
    assert json.loads(home.data["meta"])["name"] == name
    assert [it["uid"] for it in home.get()["metadata"]["ownerReferences"]] == [made.uid]
    command = runs_dir(directory, "Tenant", name, "") / "artifacts" / "latest" / "command"
    assert "-vvv" in json.loads(command.read_text())["command"]
    home.comes_back()
    made.delete()
    made.goes()
    assert not home.get()


def test_a_status_that_is_not_managed_is_the_roles_own(running: OperatorProcess, tenancy: Tenancy) -> None:
    name = a_name("report")
    made = tenancy.sample("Report", name)
    eventually(lambda: made.status.get("title") == "Costs", "the status that the playbook writes")
    assert [it["type"] for it in made.status["conditions"]] == ["Successful"]
    assert made.condition("Successful")["message"] == "this condition is the playbook's own"
    made.merge({"metadata": {"annotations": {f"{GROUP}/audience": "everybody"}}})
    eventually(lambda: made.status["audience"] == "everybody", "a run for the annotation")
    eventually(lambda: running.runs(name) >= 4, "runs by the period of the watch")
    made.delete()
    made.goes()


def test_secrets_are_watched_and_stay_secret(running: OperatorProcess, tenancy: Tenancy) -> None:
    name, text = a_name("certificate"), "canary-in-a-certificate"
    made = tenancy.certificate(name)
    left_out = tenancy.certificate(a_name("unlabelled"), labels={})
    fingerprint = tenancy.find("ConfigMap", f"{name}-fingerprint").appears()
    assert fingerprint.data == {"sha256": digest("sample-certificate"), "spec": "{}"}
    made.merge({"data": {"tls.crt": base64.b64encode(text.encode()).decode()}})
    eventually(lambda: fingerprint.data["sha256"] == digest(text), "the new fingerprint")
    assert "status" not in made.get()
    assert running.runs(left_out.name) == 0
    fingerprint.delete()
    while_another_is_reconciled(tenancy)
    assert not fingerprint.get(), "watchDependentResources is false"
    for secret in (text, base64.b64encode(text.encode()).decode(), "sample-password"):
        assert secret not in running.text()


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_run_is_told_in_the_log(running: OperatorProcess, site: Hosted) -> None:
    lines = [line for line in running.lines if line.get("logger") == "role" and line.get("name") == "first"]
    job = lines[0]["job"]
    told = [(line["msg"], line["task"]) for line in lines if line["job"] == job and "task" in line]
    assert ("site first is served at https://10.0.0.10:8443/", "Say what is being done") in told
    assert ("task failed", "Ask the registry") in told
    assert ("the registry is not there", "Go on without it") in told
    assert ("task started", "Run the site") in told
    assert not [task for _, task in told if task == "Work out the address"]
    recap = next(line["recap"] for line in lines if line["msg"] == "play recap")
    assert recap["localhost"]["rescued"] == 1
    assert {(line["namespace"], line["gvk"]) for line in lines} == {(NAMESPACE, f"{GROUP}/v1alpha1, Kind=Site")}


def test_metrics_have_upstreams_names(prometheus: Prometheus, site: Hosted) -> None:
    gvk = f'GVK="{GROUP}/v1alpha1, Kind=Site"'
    assert prometheus.samples("ansible_operator_reconcile_result", gvk, 'result="succeeded"')[0] >= 1
    assert prometheus.samples("ansible_operator_reconciles_count", gvk)[0] >= 1
    assert prometheus.samples("ansible_operator_build_info") == [1]
    created = ('name="first"', f'namespace="{NAMESPACE}"', f'group="{GROUP}"', 'version="v1alpha1"', 'kind="Site"')
    assert len(prometheus.samples("resource_created_at_seconds", *created)) == 1
    assert prometheus.samples("hosting_sites_published_total")[0] >= 1


def test_the_directory_of_an_object_is_upstreams(directory: Path, site: Hosted) -> None:
    place = runs_dir(directory, "Site", "first")
    files = ("env/envvars", "env/extravars", "env/settings", "env/cmdline", "inventory/hosts", "artifacts/latest")
    assert [file for file in files if not (place / file).exists()] == []
    of_a_run = ("stdout", "stderr", "rc", "status", "command", "job_events")
    assert [file for file in of_a_run if not (place / "artifacts" / "latest" / file).exists()] == []
    assert len(artifacts(place)) <= 5


@pytest.mark.exhaustive
def test_the_other_engine_makes_the_same_of_it(cluster: Cluster, tenancy: Tenancy, tmp_path: Path) -> None:
    other = Tenancy(tenancy.api, OTHER_ENGINE)
    flags = ("--engine=subprocess", "--leader-election-id=hosting-other-engine")
    with hosting_operator(cluster, tmp_path, [OTHER_ENGINE], *flags):
        backup = other.sample("Backup", "backup", {"wantedCopies": 1}).succeeds()
        copies = other.find("ConfigMap", "backup-copies")
        assert (backup.status["copies"], copies.data) == (
            1,
            {"number": "1", "site": "site-sample", "storage_class": "cold"},
        )
        assert [it["uid"] for it in copies.get()["metadata"]["ownerReferences"]] == [backup.uid]
        other.certificate("certificate")
        fingerprint = other.find("ConfigMap", "certificate-fingerprint").appears()
        assert fingerprint.data["sha256"] == digest("sample-certificate")
        backup.delete()
        backup.goes()
    assert not copies.get()
