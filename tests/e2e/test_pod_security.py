"""What a Pod of the operator may and may not do: to its node, to the API server, and who may read its metrics."""

from __future__ import annotations

import http
import json
import secrets
import shlex
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from reconcile_devcluster.api import ApiServer
from tests.e2e.cluster import Target
from tests.e2e.deployed import LEASE, NAMESPACE, RANDOM_UID, Deployed, container_of, is_ready
from tests.e2e.kubectl import KubectlError
from tests.support.controlplane import service_account_token
from tests.support.operator_process import Kube, http_get

pytestmark = pytest.mark.timeout(600)

RBAC = "/apis/rbac.authorization.k8s.io/v1"
METRICS_SERVICE = "foo-operator-controller-manager-metrics-service"
METRICS_READER = "foo-operator-metrics-reader"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"


def test_its_namespace_takes_restricted_pods_alone(operator: Deployed, target: Target) -> None:
    operator.settle()
    with pytest.raises(KubectlError, match="violates PodSecurity"):
        target.kubectl.run(
            "run", "loose", "--namespace", operator.namespace, "--image", target.pause_image, "--dry-run=server"
        )


def test_it_runs_as_a_user_that_the_image_does_not_know_on_a_root_that_cannot_be_written(operator: Deployed) -> None:
    operator.settle()
    for pod in operator.pods():
        said = operator.kubectl.execute(
            operator.namespace,
            pod["metadata"]["name"],
            "id -u; id -g; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/1/status;"
            " touch /opt/ansible/x 2>&1; touch /x 2>&1; true",
        )
        lines = said.split("\n")
        assert lines[:2] == [str(RANDOM_UID), "0"]
        assert [line.split() for line in lines[2:5]] == [
            ["CapEff:", "0000000000000000"],
            ["NoNewPrivs:", "1"],
            ["Seccomp:", "2"],
        ]
        assert ["Read-only file system" in line for line in lines[5:7]] == [True, True]


LOOK = f"""
import json, sys
from reconcile_runner.execution import confinement
if sys.argv[1] == "confined":
    confinement.confine(["{TOKEN}"])
def refusal(path):
    try:
        open(path, "rb").close()
    except PermissionError:
        return True
    return False
own = open("/proc/1/task/1/children").read().split()[0]  # the first process is tini
of_operator = [f"/proc/{{own}}/{{name}}" for name in ("environ", "mem", "maps")]
paths = ["{TOKEN}", *of_operator, "{TOKEN.replace("token", "namespace")}"]
print(json.dumps([confinement.problems(["{TOKEN}"]), list(map(refusal, paths))]))
"""


@pytest.mark.parametrize(
    ("how", "refused"),
    [("confined", [True, True, True, True, False]), ("free", [False, True, True, True, False])],
)
def test_what_it_confines_reads_neither_its_token_nor_its_process(
    operator: Deployed, how: str, refused: list[bool]
) -> None:
    operator.settle()
    pod = operator.leader()
    said = operator.kubectl.execute(operator.namespace, pod, f"python3 -c {shlex.quote(LOOK)} {how}")
    assert json.loads(said) == [[], refused], "nobody looks into the operator, and only the confined misses the token"
    log = operator.kubectl.run("logs", "--namespace", operator.namespace, pod)
    assert "runs are not confined" not in log


def test_its_probes_answer_on_the_leader_and_on_the_standby(operator: Deployed) -> None:
    operator.settle()
    for pod in operator.pods():
        assert is_ready(pod)
        assert container_of(pod)["started"] is True, "the kubelet's startup probe was answered"
        with operator.kubectl.port_forward(operator.namespace, f"pod/{pod['metadata']['name']}", 6789) as port:
            for path in ("/healthz", "/readyz"):
                assert http_get(f"http://127.0.0.1:{port}{path}") == (200, "ok")


ALLOWED = [
    ("get", "foos.tutorial.my.domain"),
    ("list", "foos.tutorial.my.domain"),
    ("watch", "foos.tutorial.my.domain"),
    ("patch", "foos.tutorial.my.domain/status"),
    ("list", "pods"),
    ("watch", "pods"),
    ("create", "events"),
]
DENIED = [
    ("get", "secrets"),
    ("list", "secrets"),
    ("get", "configmaps"),
    ("create", "pods"),
    ("delete", "pods"),
    ("create", "pods/exec"),
    ("get", "pods/log"),
    ("create", "foos.tutorial.my.domain"),
    ("delete", "foos.tutorial.my.domain"),
    ("list", "deployments.apps"),
    ("list", "nodes"),
    ("list", "leases.coordination.k8s.io"),
    ("create", "serviceaccounts/token"),
    ("impersonate", "users"),
    ("create", "clusterrolebindings.rbac.authorization.k8s.io"),
    ("escalate", "clusterroles.rbac.authorization.k8s.io"),
    ("*", "*.*"),
    ("delete", "leases.coordination.k8s.io"),
]


@pytest.mark.parametrize(("verb", "what"), ALLOWED)
def test_its_role_allows(operator: Deployed, verb: str, what: str) -> None:
    assert operator.may(verb, what)


@pytest.mark.parametrize(("verb", "what"), DENIED)
@pytest.mark.parametrize("where", ["", NAMESPACE], ids=["everywhere", "in its namespace"])
def test_its_role_denies(operator: Deployed, verb: str, what: str, where: str) -> None:
    assert not operator.may(verb, what, where)


@pytest.mark.parametrize("verb", ["get", "update", "watch", "create"])
def test_its_role_allows_what_leader_election_needs_in_its_namespace_alone(operator: Deployed, verb: str) -> None:
    leases, name = "leases.coordination.k8s.io", "" if verb == "create" else LEASE
    assert operator.may(verb, leases, NAMESPACE, name)
    assert not operator.may(verb, leases, "kube-system", name)


def test_the_token_in_its_pod_is_its_own_and_reads_foos_but_no_secret_and_no_other_group(operator: Deployed) -> None:
    operator.settle()
    pod = operator.leader()
    token = operator.kubectl.execute(operator.namespace, pod, f"cat {TOKEN}").strip()
    admin = operator.api
    own = ApiServer(admin.host, admin.port, _without_client_certificate(admin.tls), token)
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    user = own.call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)["status"]["userInfo"]
    assert user["username"] == operator.account
    assert user["extra"]["authentication.kubernetes.io/pod-name"] == [pod], "a projected token, bound to its Pod"

    assert own.request("GET", "/apis/tutorial.my.domain/v1/foos")[0] == http.HTTPStatus.OK
    for path in (
        f"/api/v1/namespaces/{operator.namespace}/secrets/any",
        "/api/v1/secrets",
        "/apis/apps/v1/deployments",
        "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases",
    ):
        assert own.request("GET", path)[0] == http.HTTPStatus.FORBIDDEN, path


def _without_client_certificate(trusted: ssl.SSLContext) -> ssl.SSLContext:
    """Return a context that trusts the same authorities, and shows no certificate: a token alone must say who asks."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.load_verify_locations(cadata=b"".join(trusted.get_ca_certs(binary_form=True)))
    return tls


@pytest.fixture(scope="module")
def metrics_port(operator: Deployed) -> Iterator[int]:
    operator.settle()
    with operator.kubectl.port_forward(operator.namespace, f"service/{METRICS_SERVICE}", 8443) as port:
        yield port


def scrape(port: int, token: str | None) -> tuple[int, str]:
    """Ask for metrics as Prometheus does that does not check the certificate, which the operator made by itself."""
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"https://127.0.0.1:{port}/metrics", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10, context=tls) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.parametrize("token", [None, "made-up"])
def test_metrics_without_a_token_that_the_api_server_knows_are_401(metrics_port: int, token: str | None) -> None:
    assert scrape(metrics_port, token)[0] == http.HTTPStatus.UNAUTHORIZED


def test_metrics_without_the_right_to_read_them_are_403(metrics_port: int, operator: Deployed, namespace: str) -> None:
    token = service_account_token(operator.api, namespace, "somebody")
    assert scrape(metrics_port, token)[0] == http.HTTPStatus.FORBIDDEN


def test_metrics_are_for_who_is_bound_to_the_reader(
    metrics_port: int, operator: Deployed, namespace: str, bindings: list[str]
) -> None:
    binding = f"e2e-{secrets.token_hex(4)}"
    subject = {"kind": "ServiceAccount", "name": "prometheus", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": METRICS_READER}
    body: dict[str, Any] = {"metadata": {"name": binding}, "roleRef": role, "subjects": [subject]}
    operator.api.call("POST", f"{RBAC}/clusterrolebindings", body)
    bindings.append(binding)
    status, text = scrape(metrics_port, service_account_token(operator.api, namespace, "prometheus"))
    assert status == http.HTTPStatus.OK
    assert 'leader_election_master_status{name="foo-operator"}' in text


@pytest.fixture
def bindings(kube: Kube) -> Iterator[list[str]]:
    """Take the names of ClusterRoleBindings that are to go with the test."""
    names: list[str] = []
    yield names
    for name in names:
        kube.api.call("DELETE", f"{RBAC}/clusterrolebindings/{name}")


def test_metrics_are_not_served_without_tls(metrics_port: int) -> None:
    status, text = http_get(f"http://127.0.0.1:{metrics_port}/metrics")
    assert status in {0, http.HTTPStatus.BAD_REQUEST}, text
