"""An operator that may do everything but write statuses: the API server's own 403, and what is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconcile_devcluster.cluster import Cluster
from tests.support.accounts import Account, account
from tests.support.operator_process import Kube, OperatorProcess, eventually, operator, write_foo_watches

pytestmark = [pytest.mark.timeout(180), pytest.mark.exhaustive]

NAMESPACE = "status-forbidden"
GROUP = "tutorial.my.domain"
REFUSED = "the status is refused: trying to write it again"
METRIC = "reconcile_runner_status_refused_total{"
TRIES = 3

TASKS = """
- name: Do what takes no rights
  ansible.builtin.debug:
    msg: "a run for {{ ansible_operator_meta.name }}"
- name: Fail where the object says so
  ansible.builtin.fail:
    msg: as asked
  when: _tutorial_my_domain_foo_spec.name == 'fail'
"""


def role(*rules: tuple[str, str, tuple[str, ...]]) -> dict[str, Any]:
    """Return a Role of rules: group, resource, verbs."""
    made = [{"apiGroups": [group], "resources": [resource], "verbs": list(verbs)} for group, resource, verbs in rules]
    metadata = {"name": "any", "namespace": NAMESPACE}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": made}


READING = (GROUP, "foos", ("get", "list", "watch"))
TELLING = ("", "events", ("create", "get", "patch"))
STATUS = (GROUP, "foos/status", ("patch",))


@pytest.fixture
def kube(foo_cluster: Cluster) -> Kube:
    made = Kube(foo_cluster.api)
    made.create_namespace(NAMESPACE)
    return made


def without_status(cluster: Cluster, directory: Path) -> Account:
    made = account(cluster, directory, "no-status", [role(READING, TELLING)])
    assert not made.may("patch", GROUP, "foos/status", namespace=NAMESPACE)
    return made


def events(kube: Kube, name: str) -> dict[str, str]:
    """Return messages by their reasons."""
    items = kube.api.call("GET", f"/api/v1/namespaces/{NAMESPACE}/events")["items"]
    return {item["reason"]: item["message"] for item in items if item["involvedObject"].get("name") == name}


def refusals(running: OperatorProcess) -> float:
    found = [line for line in running.metrics().splitlines() if line.startswith(METRIC)]
    return sum(float(line.rpartition(" ")[2]) for line in found)


def test_a_status_that_may_not_be_written_is_told_and_tried_again_alone(
    foo_cluster: Cluster, kube: Kube, tmp_path: Path
) -> None:
    made = without_status(foo_cluster, tmp_path)
    env = {"WATCH_NAMESPACE": NAMESPACE, "ANSIBLE_GATHERING": "explicit"}
    with operator(made.kubeconfig, write_foo_watches(tmp_path, TASKS), env=env) as running:
        running.wait_ready()
        kube.create_foo(NAMESPACE, "refused", "anybody")
        line = running.wait_for_message(REFUSED, name="refused")
        assert line["level"] == "warn"
        assert "foos.tutorial.my.domain" in line["error"]
        assert "forbidden" in line["error"]
        eventually(lambda: refusals(running) >= TRIES, "further tries")
        eventually(lambda: "StatusRefused" in events(kube, "refused"), "an Event")
        assert "forbidden" in events(kube, "refused")["StatusRefused"]
        assert running.runs("refused") == 1
        assert len(running.messages(REFUSED, name="refused")) == 1
        assert kube.condition(NAMESPACE, "refused", "Ready") == {}
        account(foo_cluster, tmp_path, "no-status", [role(READING, TELLING, STATUS)])
        eventually(lambda: kube.condition(NAMESPACE, "refused", "Ready").get("status") == "True", "the status")
        assert running.wait_for_message("the refused status is written", name="refused")["tries"] > TRIES
        assert running.runs("refused") == 1
        kube.patch_foo(NAMESPACE, "refused", "somebody")
        eventually(lambda: running.runs("refused") == 2, "the run for an edit of the spec")
