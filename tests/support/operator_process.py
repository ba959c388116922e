"""The operator as users run it, and the few requests that tests make of the API server beside it.

The process is the benchmarks', re-exported: tests and figures are of the same operator, started alike.
"""

from __future__ import annotations

import http
from pathlib import Path
from typing import Any

import yaml

from reconcile_devcluster import crds
from reconcile_devcluster.api import ApiServer
from tools.testing.operator import REPOSITORY, OperatorProcess, eventually, http_get, operator

__all__ = [
    "REPOSITORY",
    "Kube",
    "OperatorProcess",
    "eventually",
    "foo_path",
    "http_get",
    "install_foo_crd",
    "operator",
    "write_foo_watches",
]


class Kube:
    """The few requests that tests make, by hand, of the API server under test."""

    def __init__(self, api: ApiServer) -> None:
        self.api = api

    def create_namespace(self, name: str) -> None:
        self.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def create_pod(self, namespace: str, name: str) -> None:
        spec = {"containers": [{"name": "c", "image": "none"}]}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        self.api.call("POST", f"/api/v1/namespaces/{namespace}/pods", body)

    def delete_pod(self, namespace: str, name: str) -> None:
        self.api.call("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}?gracePeriodSeconds=0")

    def create_foo(self, namespace: str, name: str, friend: str, **metadata: object) -> None:
        self.api.call("POST", foo_path(namespace), new_foo(name, friend, **metadata))

    def patch_foo(self, namespace: str, name: str, friend: str) -> None:
        self.patch(foo_path(namespace, name), {"spec": {"name": friend}})

    def delete_foo(self, namespace: str, name: str) -> None:
        self.api.call("DELETE", foo_path(namespace, name))

    def patch(self, path: str, body: dict[str, Any]) -> None:
        self.api.call("PATCH", path, body, "application/merge-patch+json")

    def foo(self, namespace: str, name: str) -> dict[str, Any]:
        return self.api.call("GET", foo_path(namespace, name))

    def happy(self, namespace: str, name: str) -> bool | None:
        """Return ``status.happy``, None where it has not been set."""
        value = self.foo(namespace, name).get("status", {}).get("happy")
        assert value is None or isinstance(value, bool)
        return value

    def condition(self, namespace: str, name: str, wanted: str) -> dict[str, Any]:
        """Return a condition of a Foo, or an empty mapping."""
        conditions = self.foo(namespace, name).get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == wanted), {})

    def exists(self, path: str) -> bool:
        status, _ = self.api.request("GET", path)
        return status == http.HTTPStatus.OK


def install_foo_crd(api: ApiServer) -> None:
    """Install `crds/` and wait until the API server serves the kind."""
    crds.install(api, REPOSITORY / "crds")


def new_foo(name: str, friend: str, **metadata: object) -> dict[str, Any]:
    """Return a Foo that looks for a friend, to be created."""
    return {
        "apiVersion": "tutorial.my.domain/v1",
        "kind": "Foo",
        "metadata": {"name": name, **metadata},
        "spec": {"name": friend},
    }


def foo_path(namespace: str, name: str = "") -> str:
    path = f"/apis/tutorial.my.domain/v1/namespaces/{namespace}/foos"
    return f"{path}/{name}" if name else path


def write_foo_watches(directory: Path, tasks: str) -> Path:
    """Write a role of these tasks and a file that watches Foos with it; return the file."""
    role = directory / "role"
    (role / "tasks").mkdir(parents=True)
    (role / "tasks" / "main.yml").write_text(tasks)
    path = directory / "watches.yaml"
    watch = {"group": "tutorial.my.domain", "version": "v1", "kind": "Foo", "role": str(role)}
    path.write_text(yaml.safe_dump([watch]))
    return path
