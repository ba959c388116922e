"""The operator as `config/default` installs it, and who of its replicas leads.

What the tests change of it stands in `OVERLAY`: everything else is as it is shipped.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from reconcile_devcluster.api import ApiServer
from tests.e2e.kubectl import Kubectl
from tests.e2e.podlogs import PodLogs
from tests.support.operator_process import eventually

NAMESPACE = "foo-operator-system"
NAME = "foo-operator-controller-manager"
LEASE = "foo-operator"
SELECTOR = "control-plane=controller-manager"
RANDOM_UID = 1000680000
"""A user that the image knows nothing of, of the range that OpenShift gives."""

READY_TIMEOUT = 180.0
"""Seconds that two replicas may take to start on a busy machine. Never a measure of speed."""

GONE_TIMEOUT = 60.0


@dataclass(frozen=True)
class Deployed:
    """A Deployment of the operator that runs."""

    kubectl: Kubectl
    api: ApiServer
    namespace: str = NAMESPACE
    name: str = NAME
    lease_name: str = LEASE
    replicas: int = 2
    own_node: bool = True

    @property
    def account(self) -> str:
        """Return the user that it is for the API server."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    @property
    def lease_path(self) -> str:
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{self.lease_name}"

    def may(self, verb: str, what: str, namespace: str = "", object_name: str = "") -> bool:
        """Ask the API server whether it may do something to ``resource.group/subresource``; by default everywhere."""
        name, _, subresource = what.partition("/")
        resource, _, group = name.partition(".")
        asked = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
        asked |= {"namespace": namespace, "name": object_name}
        groups = ["system:serviceaccounts", f"system:serviceaccounts:{self.namespace}", "system:authenticated"]
        body = {"spec": {"user": self.account, "groups": groups, "resourceAttributes": asked}}
        review = self.api.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        return bool(review["status"]["allowed"])

    def logs(self) -> PodLogs:
        return PodLogs(self.kubectl, self.api, self.namespace, SELECTOR)

    def pods(self) -> list[dict[str, Any]]:
        """Return its Pods that are not about to go."""
        found = self.api.call("GET", f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={SELECTOR}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def pod(self, name: str) -> dict[str, Any]:
        return self.api.call("GET", f"/api/v1/namespaces/{self.namespace}/pods/{name}")

    def lease(self) -> dict[str, Any]:
        record: dict[str, Any] = self.api.call("GET", self.lease_path)["spec"]
        return record

    def holder(self) -> str:
        """Return who is in the Lease: a process, which may be dead."""
        return str(self.lease().get("holderIdentity", ""))

    def leader(self, dead: Collection[str] = ()) -> str:
        """Return the Pod that leads, waiting for one that is there to lead. ``dead``: processes that are not."""
        found: list[str] = []

        def one_leads() -> bool:
            holder = self.holder()
            found[:] = [name for name in map(name_of, self.pods()) if holder not in dead and name == pod_of(holder)]
            return bool(found)

        eventually(one_leads, "one replica to lead", READY_TIMEOUT)
        return found[0]

    def standby(self) -> str:
        """Return a Pod that does not lead, whether another one does or none."""
        leader = pod_of(self.holder())
        return next(name for name in map(name_of, self.pods()) if name != leader)

    def settle(self) -> None:
        """Wait until all replicas are ready, those of old Pods are gone, and one leads."""
        eventually(
            self._is_complete, f"{self.replicas} replicas of {self.name} to be ready: {self.states()}", READY_TIMEOUT
        )
        self.leader()

    def _is_complete(self) -> bool:
        every = self.api.call("GET", f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={SELECTOR}")["items"]
        return len(every) == self.replicas and all(map(is_ready, every))

    def start_again_now(self, pod: str) -> None:
        """Have a Pod whose process has ended start it without the kubelet's wait.

        A change of the Pod does that for the kubelet of a devcluster. Another one's may wait for minutes: there the Pod
        is deleted, and the Deployment makes another one.
        """
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod}"
        if not self.own_node:
            self.api.call("DELETE", f"{path}?gracePeriodSeconds=0")
            return
        time.sleep(1.1)  # the kubelet looks at a change only when it has seen the end of the container before
        annotations = {"e2e/start-again": datetime.now(UTC).isoformat()}
        self.api.call("PATCH", path, {"metadata": {"annotations": annotations}}, "application/merge-patch+json")

    def states(self) -> str:
        """Return what its Pods are doing, for messages."""
        return "; ".join(f"{name_of(pod)} {container_of(pod).get('state')}" for pod in self.pods())


def pod_of(identity: str) -> str:
    """Return in which Pod the process is that has this name in a Lease."""
    return identity.rpartition("_")[0]


def name_of(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["name"])


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def container_of(pod: dict[str, Any]) -> dict[str, Any]:
    """Return the status of its only container; nothing where the kubelet has not said any."""
    status: dict[str, Any] = next(iter(pod["status"].get("containerStatuses", [])), {})
    return status


def write_overlay(
    directory: Path,
    base: Path,
    image: str,
    shipped: str = "localhost/foo-operator",
    patches: Sequence[dict[str, Any]] = (),
) -> Path:
    """Write a kustomization that installs ``base`` with another image than the shipped one, and with patches."""
    name, _, tag = image.rpartition(":")
    directory.mkdir()
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(base, directory)],
        "images": [{"name": shipped, "newName": name, "newTag": tag}],
        "patches": list(patches),
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return directory
