"""ServiceAccounts with the rights of a manifest and no others, for operators under test."""

from __future__ import annotations

import http
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from reconcile_devcluster.api import APPLY_PATCH, ApiServer, KubeObject
from reconcile_devcluster.cluster import Cluster
from tests.support.controlplane import service_account_token
from tests.support.operator_process import eventually

RBAC = "/apis/rbac.authorization.k8s.io/v1"
HOME = "default"
"""The namespace of the accounts."""


@dataclass(frozen=True, slots=True)
class Account:
    """A ServiceAccount: its kubeconfig, and requests in its name."""

    api: ApiServer
    kubeconfig: Path

    def may(self, verb: str, group: str, resource: str, **attributes: str) -> bool:
        """Ask the API server; ``attributes`` are ``namespace`` and ``name``."""
        plural, _, subresource = resource.partition("/")
        asked = {"verb": verb, "group": group, "resource": plural, "subresource": subresource, **attributes}
        review = {"spec": {"resourceAttributes": asked}}
        answer = self.api.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        return bool(answer["status"]["allowed"])

    def is_refused(self, method: str, path: str, body: KubeObject | None = None) -> bool:
        """Tell whether the API server refuses a request for lack of rights."""
        status, answer = self.api.request(method, path, body)
        return status == http.HTTPStatus.FORBIDDEN and json.loads(answer)["reason"] == "Forbidden"


def account(cluster: Cluster, directory: Path, name: str, roles: Iterable[KubeObject]) -> Account:
    """Make an account, bind it to each role where that holds, and wait until the rights are known."""
    token = service_account_token(cluster.api, HOME, name)
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    kubeconfig = directory / f"{name}.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    made = Account(ApiServer.from_kubeconfig(kubeconfig), kubeconfig)
    for role in roles:
        _bind(cluster.api, name, role)
        for rule in role["rules"]:
            eventually(lambda one=rule, of=role: _is_known(made, one, of), f"the rights of {name}")  # type: ignore[misc]
    return made


def _bind(api: ApiServer, name: str, role: KubeObject) -> None:
    namespace = role["metadata"].get("namespace", "")
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    version, kind = role["apiVersion"], role["kind"]
    root = f"{RBAC}/namespaces/{namespace}" if namespace else RBAC
    binding = {
        "apiVersion": version,
        "kind": f"{kind}Binding",
        "metadata": meta,
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": HOME}],
        "roleRef": {"apiGroup": version.partition("/")[0], "kind": kind, "name": name},
    }
    for plural, body in ((f"{kind.lower()}s", {**role, "metadata": meta}), (f"{kind.lower()}bindings", binding)):
        api.call("PATCH", f"{root}/{plural}/{name}?fieldManager=kubectl", body, APPLY_PATCH)


def _is_known(made: Account, rule: dict[str, Any], role: KubeObject) -> bool:
    attributes = {"name": rule.get("resourceNames", [""])[0], "namespace": role["metadata"].get("namespace", "")}
    given = {key: value for key, value in attributes.items() if value}
    return made.may(rule["verbs"][0], rule["apiGroups"][0], rule["resources"][0], **given)
