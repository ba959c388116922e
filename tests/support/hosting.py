"""The operator directory `tests/testdata/upstream-operator`, as its users start it, and the objects of its kinds.

The directory was written for ansible-operator; nothing in it knows of this project. What its image and its manifest
would set (working directory, variables, flags) is set here.
"""

from __future__ import annotations

import http
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reconcile_devcluster.api import APPLY_PATCH, ApiServer
from reconcile_devcluster.cluster import Cluster
from tests.support.accounts import HOME, RBAC, account
from tests.support.controlplane import service_account_token
from tests.support.operator_process import REPOSITORY, OperatorProcess, eventually, operator
from tools.testing.operator import OperatorProcessError

PROJECT = REPOSITORY / "tests" / "testdata" / "upstream-operator"
GROUP = "hosting.example.org"
PRIORITY_CLASSES = "/apis/scheduling.k8s.io/v1/priorityclasses"

_OLD_RESULT = {"ok": 9, "changed": 4, "skipped": 1, "failures": 0, "completion": "2026-01-02T03:04:05.678000+00:00"}
OLD_CONDITIONS = [
    {
        "type": "Running",
        "status": "True",
        "reason": "Running",
        "message": "Running reconciliation",
        "lastTransitionTime": "2026-01-02T03:04:00Z",
        "ansibleResult": _OLD_RESULT,
    },
    {
        "type": "Successful",
        "status": "False",
        "reason": "Successful",
        "message": "Last reconciliation succeeded",
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    },
    {"type": "Failure", "status": "False", "reason": "", "message": "", "lastTransitionTime": "2026-01-02T03:04:00Z"},
]
"""What ansible-operator leaves when it is scaled to zero in the middle of a run."""

_NOT_HERE = ("--health-probe-bind-address", "--metrics-bind-address")
"""Flags of the manifest that tests choose themselves: ports."""

_ROLES = ("role", "leader_election_role", "metrics_auth_role")
"""Files of the directory with the rights of its ServiceAccount."""

PROMETHEUS = "prometheus"


def kubeconfig_of_the_manifest(cluster: Cluster, directory: Path) -> Path:
    """Make the ServiceAccount of the manifest, with the rights that the directory gives it and no others."""
    for file in _ROLES:
        _grant(cluster.api, file, "controller-manager")
    return account(cluster, directory, "controller-manager", []).kubeconfig


def prometheus_token(cluster: Cluster) -> str:
    """Return a token of somebody to whom the directory's role for readers of metrics is given."""
    _grant(cluster.api, "metrics_reader_role", PROMETHEUS)
    return service_account_token(cluster.api, HOME, PROMETHEUS)


def _grant(api: ApiServer, file: str, name_of_account: str) -> None:
    """Give a ServiceAccount the rights in a file of the directory, as its binding would."""
    role = yaml.safe_load((PROJECT / "config" / "rbac" / f"{file}.yaml").read_text())
    kind, name = role["kind"], role["metadata"]["name"]
    binding = {
        "apiVersion": role["apiVersion"],
        "kind": f"{kind}Binding",
        "metadata": {"name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name_of_account, "namespace": HOME}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
    }
    scope = RBAC if kind == "ClusterRole" else f"{RBAC}/namespaces/{HOME}"
    for path, body in (
        (f"{scope}/{kind.lower()}s/{name}", role),
        (f"{scope}/{kind.lower()}bindings/{name}", binding),
    ):
        api.call("PATCH", f"{path}?fieldManager=kubectl", body, APPLY_PATCH)


def _container() -> dict[str, Any]:
    manifest = yaml.safe_load((PROJECT / "config" / "manager" / "manager.yaml").read_text())
    container: dict[str, Any] = manifest["spec"]["template"]["spec"]["containers"][0]
    return container


@contextmanager
def hosting_operator(
    cluster: Cluster, directory: Path, namespaces: Sequence[str], *flags: str, kubeconfig: Path | None = None
) -> Iterator[OperatorProcess]:
    """Run this project's operator on the directory, as its manifest says. ``directory`` is for what runs leave.

    ``kubeconfig``: whose rights it has; those of the manifest where none is given.
    """
    container = _container()
    config = directory / "ansible.cfg"  # that of upstream's image
    config.write_text(f"[defaults]\nroles_path = {PROJECT / 'roles'}\n")
    env = {it["name"]: it["value"] for it in container["env"]} | {
        "HOSTING_HOME": str(PROJECT),
        "ANSIBLE_CONFIG": str(config),
        # Where the image's build would have put them.
        "ANSIBLE_COLLECTIONS_PATH": f"{PROJECT / 'collections'}:{REPOSITORY / '.collections'}",
        "WATCH_NAMESPACE": ", ".join(namespaces),
    }
    args = [argument for argument in container["args"] if not argument.startswith(_NOT_HERE)]
    # What the Pod would be told by its own files.
    args += ["--leader-election-namespace", HOME, "--runner-dir", str(directory / "runs"), *flags]
    kubeconfig = kubeconfig or kubeconfig_of_the_manifest(cluster, directory)
    with operator(kubeconfig, Path("watches.yaml"), flags=args, env=env, directory=PROJECT) as running:
        running.wait_ready()
        yield running


@dataclass(frozen=True, slots=True)
class Hosted:
    """One object of the test's, of any kind."""

    api: ApiServer
    collection: str
    name: str

    @property
    def path(self) -> str:
        return f"{self.collection}/{self.name}"

    def get(self) -> dict[str, Any]:
        """Return the object, or an empty mapping where there is none."""
        status, answer = self.api.request("GET", self.path)
        return json.loads(answer) if status == http.HTTPStatus.OK else {}

    def merge(self, body: dict[str, Any], subresource: str = "") -> None:
        self.api.call("PATCH", f"{self.path}{subresource}", body, "application/merge-patch+json")

    def annotate(self, **annotations: str) -> None:
        prefix = "ansible.sdk.operatorframework.io"
        named = {f"{prefix}/{name.replace('_', '-')}": text for name, text in annotations.items()}
        self.merge({"metadata": {"annotations": named}})

    def delete(self) -> None:
        self.api.call("DELETE", self.path)

    @property
    def uid(self) -> str:
        return str(self.get().get("metadata", {}).get("uid", ""))

    @property
    def data(self) -> dict[str, str]:
        """What a ConfigMap holds; nothing where there is none."""
        data: dict[str, str] = self.get().get("data", {})
        return data

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.get().get("status", {})
        return status

    def condition(self, wanted: str) -> dict[str, Any]:
        return next((it for it in self.status.get("conditions", []) if it["type"] == wanted), {})

    def appears(self) -> Hosted:
        eventually(lambda: bool(self.get()), f"{self.path} to be there")
        return self

    def goes(self) -> None:
        eventually(lambda: not self.get(), f"{self.path} to be gone")

    def succeeds(self) -> Hosted:
        try:
            eventually(lambda: self.condition("Successful").get("status") == "True", f"{self.path} to be reconciled")
        except OperatorProcessError as error:
            raise AssertionError(f"{error}; it says {self.status}") from error
        return self

    def comes_back(self) -> None:
        """Delete it, and wait for another one in its place."""
        before = self.uid
        self.delete()
        eventually(lambda: self.uid not in {"", before}, f"{self.path} to be there again")


@dataclass(frozen=True, slots=True)
class Tenancy:
    """A namespace, and what is in it."""

    api: ApiServer
    namespace: str

    def collection(self, kind: str) -> str:
        """Return the path of a kind's objects in this namespace."""
        plural = f"{kind.lower()}s"
        if kind == "Tenant":
            return f"/apis/{GROUP}/v1alpha1/{plural}"
        if kind in {"Site", "Backup", "Report"}:
            return f"/apis/{GROUP}/v1alpha1/namespaces/{self.namespace}/{plural}"
        return f"/{'apis/apps' if kind == 'Deployment' else 'api'}/v1/namespaces/{self.namespace}/{plural}"

    def find(self, kind: str, name: str) -> Hosted:
        return Hosted(self.api, self.collection(kind), name)

    def sample(self, kind: str, name: str, spec: dict[str, Any] | None = None, **metadata: Any) -> Hosted:
        """Create the directory's sample of a kind under another name, with another spec where one is given."""
        file = PROJECT / "config" / "samples" / f"hosting_v1alpha1_{kind.lower()}.yaml"
        return self.create(kind, yaml.safe_load(file.read_text()), name, spec, **metadata)

    def certificate(self, name: str, **metadata: Any) -> Hosted:
        file = PROJECT / "config" / "samples" / "certificate.yaml"
        return self.create("Secret", yaml.safe_load(file.read_text()), name, None, **metadata)

    def create(
        self, kind: str, body: dict[str, Any], name: str, spec: dict[str, Any] | None, **metadata: Any
    ) -> Hosted:
        body["metadata"] |= {"name": name, **metadata}
        if spec is not None:
            body["spec"] |= spec
        self.api.call("POST", self.collection(kind), body)
        return self.find(kind, name)
