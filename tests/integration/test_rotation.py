"""Tokens and authorities that are renewed under a running operator, on a real API server that accepts the new alone."""

from __future__ import annotations

import http
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from reconcile_devcluster import crds
from reconcile_devcluster.api import ApiServer
from reconcile_devcluster.certificates import Pki, ensure_pki
from reconcile_devcluster.cluster import Cluster
from tests.support.controlplane import stop_api_server
from tests.support.fakes.projected import Projected
from tests.support.lifecycle import GROUP, Thing, definition
from tests.support.operator_process import OperatorProcess, eventually, operator

pytestmark = [pytest.mark.timeout(300), pytest.mark.exhaustive]

KIND, ACCOUNT = "Rotated", "rotated-operator"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
NAMESPACE = "/api/v1/namespaces/default"
EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
ELECTION = ("--leader-elect", "--leader-election-id", "rotated", "--leader-election-namespace", "default")
# A time that the API server's restart does not fill.
PATIENCE = ("--leader-elect-lease-duration", "60s", "--leader-elect-renew-deadline", "50s")

PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - kubernetes.core.k8s:
        definition:
          apiVersion: v1
          kind: ConfigMap
          metadata: {name: "{{ ansible_operator_meta.name }}", namespace: default}
          data: {size: "{{ size | string }}"}
"""


@dataclass(frozen=True)
class Account:
    """The operator's ServiceAccount, and the volume in which the kubelet would keep its token and the authority."""

    cluster: Cluster
    volume: Projected

    @property
    def api(self) -> ApiServer:
        return self.cluster.api

    def authority(self) -> str:
        return Pki(self.cluster.directory.pki).ca_certificate.read_text()

    def token(self, secret: str) -> str:
        """Return a token that is valid for as long as a Secret is there."""
        made = self.api.call("POST", f"{NAMESPACE}/secrets", {"metadata": {"name": secret}})
        bound = {"apiVersion": "v1", "kind": "Secret", "name": secret, "uid": made["metadata"]["uid"]}
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"boundObjectRef": bound, "expirationSeconds": 600},
        }
        answer = self.api.call("POST", f"{NAMESPACE}/serviceaccounts/{ACCOUNT}/token", request)
        return str(answer["status"]["token"])

    def revoke(self, secret: str, token: str) -> None:
        """Delete a token's Secret, and wait until the API server, which remembers tokens for 10 s, refuses it."""
        self.api.call("DELETE", f"{NAMESPACE}/secrets/{secret}")
        bearer = replace(self.api, token=token)
        refused = http.HTTPStatus.UNAUTHORIZED
        eventually(
            lambda: bearer.request("GET", f"{NAMESPACE}/configmaps")[0] == refused, "the old token to be refused"
        )

    def kubeconfig(self) -> Path:
        config = yaml.safe_load(self.cluster.kubeconfig.read_text())
        del config["clusters"][0]["cluster"]["certificate-authority-data"]
        config["clusters"][0]["cluster"]["certificate-authority"] = str(self.volume.directory / "ca.crt")
        config["users"][0]["user"] = {"tokenFile": str(self.volume.directory / "token")}
        path = self.volume.directory.parent / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path


@pytest.fixture
def account(own_cluster: Cluster, tmp_path: Path) -> Account:
    api = own_cluster.api
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds" / "rotated.yaml").write_text(yaml.safe_dump(definition(KIND)))
    crds.install(api, tmp_path / "crds")
    api.call("POST", f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": ACCOUNT}})
    api.call("POST", f"{RBAC}/clusterroles", {"metadata": {"name": ACCOUNT}, "rules": EVERYTHING})
    binding = {
        "metadata": {"name": ACCOUNT},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "default"}],
    }
    api.call("POST", f"{RBAC}/clusterrolebindings", binding)
    return Account(own_cluster, Projected(tmp_path / "volume"))


@pytest.fixture
def watches(tmp_path: Path) -> Path:
    (tmp_path / "play.yml").write_text(PLAY)
    entry = {"group": GROUP, "version": "v1", "kind": KIND, "playbook": str(tmp_path / "play.yml")}
    (tmp_path / "watches.yaml").write_text(yaml.safe_dump([entry]))
    return tmp_path / "watches.yaml"


def reconciles(api: ApiServer, name: str, size: int) -> None:
    """Have the operator hear of an object, run for it through the proxy, and write its status."""
    made = Thing(api, KIND, name)
    if made.is_gone:
        made.create({"size": size})
    else:
        made.patch({"spec": {"size": size}})
    generation = made.get()["metadata"]["generation"]
    eventually(
        lambda: (
            made.get().get("status", {}).get("observedGeneration") == generation
            and made.condition("Ready").get("status") == "True"
        ),
        f"{name} to be ready with size {size}",
    )
    assert api.call("GET", f"{NAMESPACE}/configmaps/{name}")["data"] == {"size": str(size)}


def refusals(process: OperatorProcess) -> list[str]:
    return [line for line in process.metrics().splitlines() if 'code="401"' in line]


@pytest.fixture
def elected(account: Account, watches: Path) -> Iterator[OperatorProcess]:
    account.volume.write(token=account.token("first"), ca_crt=account.authority())
    with operator(account.kubeconfig(), watches, flags=[*ELECTION, *PATIENCE]) as process:
        process.wait_for_message("leading")
        yield process


def test_a_new_token_is_used_by_requests_runs_watches_and_the_election(
    account: Account, elected: OperatorProcess
) -> None:
    reconciles(account.api, "one", 1)
    first = (account.volume.directory / "token").read_text()
    account.volume.write(token=account.token("second"), ca_crt=account.authority())
    account.revoke("first", first)
    reconciles(account.api, "one", 2)
    assert refusals(elected) == []
    # A watch that is open stays so when its token is refused. A restart has every watch opened anew.
    stop_api_server(account.cluster)
    account.cluster.start_api_server()
    reconciles(account.api, "one", 3)
    reconciles(account.api, "two", 1)
    lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/rotated"
    before = account.api.call("GET", lease)["spec"]["renewTime"]
    eventually(lambda: account.api.call("GET", lease)["spec"]["renewTime"] != before, "a renewal")
    assert len(elected.messages("leading")) == 1
    assert elected.stop() == 0


def test_a_token_that_comes_late_is_used_as_soon_as_it_is_there(account: Account, watches: Path) -> None:
    first = account.token("first")
    account.volume.write(token=first, ca_crt=account.authority())
    with operator(account.kubeconfig(), watches) as process:
        reconciles(account.api, "one", 1)
        account.revoke("first", first)
        Thing(account.api, KIND, "one").patch({"spec": {"size": 2}})
        eventually(lambda: bool(refusals(process)), "a refused request")
        account.volume.write(token=account.token("second"), ca_crt=account.authority())
        reconciles(account.api, "one", 3)
        assert process.stop() == 0


def test_a_new_authority_is_trusted_without_a_restart(account: Account, watches: Path) -> None:
    token = account.token("first")
    account.volume.write(token=token, ca_crt=account.authority())
    with operator(account.kubeconfig(), watches) as process:
        reconciles(account.api, "one", 1)
        stop_api_server(account.cluster)
        pki = Pki(account.cluster.directory.pki)
        pki.server_certificate.unlink()
        ensure_pki(pki)
        account.cluster.start_api_server()
        process.wait_for_message("API server cannot be reached, trying again")
        made = Thing(account.api, KIND, "two").create({"size": 1})
        account.volume.write(token=token, ca_crt=account.authority())
        made.becomes_ready()
        reconciles(account.api, "one", 2)
        process.wait_for_message("certificates reloaded")
        assert process.stop() == 0
