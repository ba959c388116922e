"""Metrics over TLS, to whom the API server says: real ServiceAccounts, tokens and rights on a real API server."""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from reconcile_devcluster.api import ApiServer
from reconcile_devcluster.cluster import Cluster
from tests.support.controlplane import service_account_token, stop_api_server
from tests.support.fakes.certificates import write_certificate
from tests.support.operator_process import OperatorProcess, eventually, http_get, operator
from tests.support.scraping import scrape

RBAC = "/apis/rbac.authorization.k8s.io/v1"
NAMESPACE = "default"
OPERATOR, PROMETHEUS, NOBODY = "metered-operator", "prometheus", "nobody"

REVIEWER = [
    {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
]
READER = [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]


def grant(api: ApiServer, role: str, rules: list[dict[str, list[str]]], account: str) -> None:
    api.call("POST", f"{RBAC}/clusterroles", {"metadata": {"name": role}, "rules": rules})
    binding = {
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}],
    }
    api.call("POST", f"{RBAC}/clusterrolebindings", binding)


def kubeconfig_of(cluster: Cluster, account: str, path: Path) -> Path:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": service_account_token(cluster.api, NAMESPACE, account)}
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="module")
def watches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Watch a kind that is not there: its metrics are all that this operator is asked for."""
    directory = tmp_path_factory.mktemp("metered")
    (directory / "role" / "tasks").mkdir(parents=True)
    (directory / "role" / "tasks" / "main.yml").write_text("[]")
    entry = {"group": "metered.test", "version": "v1", "kind": "Metered", "role": str(directory / "role")}
    (directory / "watches.yaml").write_text(yaml.safe_dump([entry]))
    return directory / "watches.yaml"


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> ApiServer:
    grant(cluster.api, "metered-reviewer", REVIEWER, OPERATOR)
    grant(cluster.api, "metered-reader", READER, PROMETHEUS)
    return cluster.api


@pytest.fixture(scope="module")
def metered(
    cluster: Cluster, api: ApiServer, watches: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """Run an operator with the documented rights and no others."""
    kubeconfig = kubeconfig_of(cluster, OPERATOR, tmp_path_factory.mktemp("metered-operator") / "kubeconfig")
    with operator(kubeconfig, watches, flags=["--metrics-secure", "--metrics-require-rbac"]) as process:
        yield process


def test_no_token_401_no_right_403_right_200(metered: OperatorProcess, api: ApiServer) -> None:
    reader, nobody = (service_account_token(api, NAMESPACE, name) for name in (PROMETHEUS, NOBODY))
    assert scrape(metered)[0] == 401
    assert scrape(metered, "not.a.token")[0] == 401
    assert scrape(metered, nobody) == (403, f"Authorization denied for user system:serviceaccount:{NAMESPACE}:nobody\n")
    status, text = scrape(metered, reader)
    assert (status, "ansible_operator_build_info" in text) == (200, True)
    assert 'method="POST"' in text


def test_a_token_of_a_deleted_account_is_401(metered: OperatorProcess, api: ApiServer) -> None:
    token = service_account_token(api, NAMESPACE, "short-lived")
    api.call("DELETE", f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/short-lived")
    assert scrape(metered, token)[0] == 401


def test_plain_http_is_not_answered(metered: OperatorProcess) -> None:
    address = metered.wait_for_message("metrics endpoint listening")["address"]
    assert http_get(f"http://{address}/metrics") == (0, "")


def test_an_operator_without_the_right_to_ask_says_so_and_answers_nobody(
    cluster: Cluster, api: ApiServer, watches: Path, tmp_path: Path
) -> None:
    kubeconfig = kubeconfig_of(cluster, "rightless", tmp_path / "kubeconfig")
    token = service_account_token(api, NAMESPACE, PROMETHEUS)
    with operator(kubeconfig, watches, flags=["--metrics-secure", "--metrics-require-rbac"]) as process:
        assert (scrape(process, token)[0], scrape(process, token)[0]) == (500, 500)
        line = process.wait_for_message("cannot check access to metrics")
        assert 'cannot create resource "tokenreviews"' in line["error"]
        assert len(process.messages("cannot check access to metrics")) == 1


def test_without_an_api_server_it_is_503_but_for_whom_it_knows(own_cluster: Cluster, watches: Path) -> None:
    grant(own_cluster.api, "metered-reader", READER, PROMETHEUS)
    known, unknown = (service_account_token(own_cluster.api, NAMESPACE, name) for name in (PROMETHEUS, NOBODY))
    flags = ["--metrics-secure", "--metrics-require-rbac"]
    with operator(own_cluster.kubeconfig, watches, flags=flags) as process:
        assert scrape(process, known)[0] == 200
        stop_api_server(own_cluster)
        assert scrape(process, unknown)[0] == 503
        assert scrape(process, known)[0] == 200
        process.wait_for_message("cannot check access to metrics")


def test_a_renewed_certificate_is_served_without_a_restart(cluster: Cluster, watches: Path, tmp_path: Path) -> None:
    old = write_certificate(tmp_path)
    flags = ["--metrics-secure", "--metrics-cert-path", str(tmp_path)]
    with operator(cluster.kubeconfig, watches, flags=flags) as process:
        assert scrape(process, tls=old)[0] == 200
        new = write_certificate(tmp_path)
        assert scrape(process, tls=new)[0] == 200
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            scrape(process, tls=old)


def test_a_standby_serves_its_metrics_too(cluster: Cluster, api: ApiServer, watches: Path) -> None:
    token = service_account_token(api, NAMESPACE, PROMETHEUS)
    flags = ["--metrics-secure", "--metrics-require-rbac", "--leader-elect", "--leader-election-id", "metered"]
    flags += ["--leader-election-namespace", NAMESPACE, "--user-metrics-bind-address", "127.0.0.1:0"]
    with (
        operator(cluster.kubeconfig, watches, flags=flags) as leader,
        operator(cluster.kubeconfig, watches, flags=flags) as other,
    ):
        eventually(lambda: bool(leader.messages("leading") or other.messages("leading")), "one of them to lead")
        shown = sorted(
            line
            for process in (leader, other)
            for line in scrape(process, token)[1].splitlines()
            if line.startswith("leader_election_master_status{")
        )
        assert shown == [f'leader_election_master_status{{name="metered"}} {value}' for value in ("0.0", "1.0")]
