"""What tests do to a control plane, and ask of it, beyond what `reconcile_devcluster` offers its users."""

from __future__ import annotations

import http
import json
from typing import Any

from reconcile_devcluster import etcd
from reconcile_devcluster.api import ApiServer
from reconcile_devcluster.binaries import programs
from reconcile_devcluster.cluster import Cluster
from reconcile_devcluster.errors import ApiRequestError
from reconcile_devcluster.layout import DataDirectory


def stop_api_server(cluster: Cluster) -> None:
    """Stop kube-apiserver alone; ``cluster.start_api_server`` brings it back."""
    cluster._stop(programs.API_SERVER)


def compact(directory: DataDirectory) -> int:
    """Forget all history of etcd, so that old resource versions and continue tokens are gone (410).

    An API server that runs on goes on answering from its watch cache; start it again to see the 410.

    Return the revision compacted to.
    """
    revision = int(_call(directory, "/v3/kv/range", {"key": "AA==", "count_only": True})["header"]["revision"])
    _call(directory, "/v3/kv/compaction", {"revision": revision, "physical": True})
    return revision


def _call(directory: DataDirectory, path: str, body: dict[str, Any]) -> dict[str, Any]:
    status, answer = etcd.request(directory, "POST", path, json.dumps(body))
    assert status == http.HTTPStatus.OK, answer
    decoded: dict[str, Any] = json.loads(answer)
    return decoded


def service_account_token(api: ApiServer, namespace: str, name: str, seconds: int = 3600) -> str:
    """Make a ServiceAccount where there is none; return a token of it, valid for so many seconds (600 at least)."""
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    try:
        api.call("POST", accounts, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
    except ApiRequestError as error:
        if error.status != http.HTTPStatus.CONFLICT:
            raise
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": seconds},
    }
    return str(api.call("POST", f"{accounts}/{name}/token", request)["status"]["token"])
