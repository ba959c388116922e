"""The operator as `config/default` starts it: flags of its Deployment, and no rights but its ServiceAccount's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile_devcluster.binaries.finder import find_kubectl
from reconcile_devcluster.cluster import Cluster
from tests.support.controlplane import service_account_token
from tests.support.kustomized import MANAGER, NAMESPACE, Kubectl, objects_of, the
from tests.support.operator_process import Kube, OperatorProcess, eventually, operator
from tests.support.scraping import scrape

KubeObject = dict[str, Any]

pytestmark = pytest.mark.timeout(300)

FRIENDS = "friends"
READER = "foo-operator-metrics-reader"
_CHOSEN_HERE = ("--health-probe-bind-address", "--metrics-bind-address")
"""Flags that are not taken over: ports, which one machine has once."""


@pytest.fixture
def kubectl(own_cluster: Cluster) -> Kubectl:
    installing = Kubectl(find_kubectl(), own_cluster.kubeconfig)
    installing.must("apply", "-k", "config/default")
    return installing


@pytest.fixture
def kube(own_cluster: Cluster, kubectl: Kubectl) -> Kube:
    made = Kube(own_cluster.api)
    made.create_namespace(FRIENDS)
    return made


@pytest.fixture
def running(kube: Kube, own_cluster: Cluster, tmp_path: Path) -> Iterator[OperatorProcess]:
    pod = the(objects_of(find_kubectl(), "default"), "Deployment")["spec"]["template"]
    [container] = pod["spec"]["containers"]
    env = {one["name"]: value_of(one, pod) for one in container["env"]}
    flags = [expanded(flag, env) for flag in container["args"] if not flag.startswith(_CHOSEN_HERE)]
    # In a Pod the namespace is read beside the token.
    flags += [f"--leader-election-namespace={NAMESPACE}", "--user-metrics-bind-address=127.0.0.1:0"]
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(with_token_of_the_manager(own_cluster)))
    with operator(kubeconfig, flags=flags, env=env) as started:
        yield started


def value_of(variable: KubeObject, pod: KubeObject) -> str:
    """Return what the kubelet makes of a variable: its value, or the label of the Pod that it names."""
    if "value" in variable:
        return str(variable["value"])
    found = re.fullmatch(r"metadata\.labels\['(.+)'\]", variable["valueFrom"]["fieldRef"]["fieldPath"])
    assert found is not None
    return str(pod["metadata"]["labels"][found[1]])


def expanded(argument: str, env: dict[str, str]) -> str:
    """Return an argument with its `$(NAME)` replaced, as the kubelet does."""
    return re.sub(r"\$\((\w+)\)", lambda found: env[found[1]], argument)


def with_token_of_the_manager(cluster: Cluster) -> KubeObject:
    config: KubeObject = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": service_account_token(cluster.api, NAMESPACE, MANAGER)}
    return config


def test_the_shipped_flags_and_rights_are_enough(kube: Kube, kubectl: Kubectl, running: OperatorProcess) -> None:
    running.wait_ready()
    kube.create_foo(FRIENDS, "foo-01", "jack")
    kube.create_pod(FRIENDS, "jack")
    eventually(lambda: kube.happy(FRIENDS, "foo-01") is True, "foo-01 is happy")
    lease = kube.api.call("GET", f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/foo-operator")
    assert lease["spec"]["holderIdentity"]
    events = f"/api/v1/namespaces/{FRIENDS}/events"
    eventually(lambda: bool(kube.api.call("GET", events)["items"]), "the change is an Event")
    token = service_account_token(kube.api, FRIENDS, "prometheus")
    assert scrape(running, token)[0] == HTTPStatus.FORBIDDEN
    reader = (f"--clusterrole={READER}", f"--serviceaccount={FRIENDS}:another")
    kubectl.must("create", "clusterrolebinding", "another-reads", *reader)
    status, text = scrape(running, service_account_token(kube.api, FRIENDS, "another"))
    assert (status, 'leader_election_master_status{name="foo-operator"} 1' in text) == (HTTPStatus.OK, True)
    complaints = [line for line in running.lines if line.get("level") in {"warn", "warning", "error"}]
    assert not complaints, complaints
