"""Pods that run programs of the machine: the node has no registry to pull an image with programs from."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from reconcile_devcluster.node.pauseimage import PAUSE_IMAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconcile_devcluster.api import ApiServer, KubeObject

PODS = "/api/v1/namespaces/default/pods"

_BORROWED = {"usr": "/usr", "bin": "/usr/bin", "lib": "/usr/lib", "lib64": "/usr/lib64"}
"""Volume name to directory of the machine; each is mounted at /NAME."""


def pod(name: str, command: Sequence[str] = (), **of_container: object) -> KubeObject:
    """Return a Pod with one container.

    Args:
        name: Name of the Pod; its label `app` is the same.
        command: A program of the machine; none for the image's own, which does nothing.
        of_container: Further fields of the container.

    """
    container: KubeObject = {"name": "main", "image": PAUSE_IMAGE, **of_container}
    spec: KubeObject = {"containers": [container], "terminationGracePeriodSeconds": 0}
    if command:
        container["command"] = ["/usr/bin/env", *command]
        container["volumeMounts"] = [{"name": one, "mountPath": f"/{one}", "readOnly": True} for one in _BORROWED]
        spec["volumes"] = [{"name": one, "hostPath": {"path": path}} for one, path in _BORROWED.items()]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": spec}


def run(api: ApiServer, body: KubeObject) -> KubeObject:
    """Create a Pod and wait until it is ready."""
    api.call("POST", PODS, body)
    return wait_for_pod(api, body["metadata"]["name"], is_ready)


def wait_for_pod(api: ApiServer, name: str, condition: Callable[[KubeObject], bool], timeout: float = 90) -> KubeObject:
    """Wait until a condition holds for a Pod; returns the Pod."""
    deadline = time.monotonic() + timeout
    while not condition(found := api.call("GET", f"{PODS}/{name}")):
        assert time.monotonic() < deadline, found["status"]
        time.sleep(0.1)
    return found


def nudge(api: ApiServer, name: str) -> None:
    """Change a Pod a little, so that the kubelet looks at it now: a crashed container need not wait 10 to 15 s."""
    patch = {"metadata": {"annotations": {"nudged": str(time.monotonic())}}}
    api.call("PATCH", f"{PODS}/{name}", patch, "application/merge-patch+json")


def is_ready(found: KubeObject) -> bool:
    conditions = found["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def restarts(found: KubeObject) -> int:
    return sum(int(one["restartCount"]) for one in found["status"].get("containerStatuses", []))
