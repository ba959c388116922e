"""Every option of the modules that talk to a node: through the operator's proxy, and past it to the API server.

Two runs do the same tasks (`tests/support/nodecases.py`), each in a namespace of its own, one after the other because
they drain the same node. What a module answers, and what it has left, has to be the same, and what the option is for.
The second run's kubeconfig is an administrator's: that a run does what ansible-playbook does is shown elsewhere.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile_devcluster.api import ApiServer
from tests.e2e.cluster import Target, temporary_namespace
from tests.e2e.test_streaming import installed
from tests.support.controlplane import service_account_token
from tests.support.lifecycle import GROUP, Thing, definition
from tests.support.nodecases import CASES, DRAINS, STUBBORN, Case, block
from tests.support.operator_process import Kube, OperatorProcess, eventually, operator
from tools.testing.operator import OperatorProcessError

pytestmark = pytest.mark.timeout(1200)

KIND = "Optional"
PROXIED, DIRECT = "world-proxied", "world-direct"
SLEEP = "sleep 3600"
AGAIN = f"if test -e /state/been; then echo later; {SLEEP}; else touch /state/been; echo the first time; fi"
OLD = 2.0
"""Seconds after which what a Pod has logged is older than a case asks for."""

DEADLINE = 400.0
"""Seconds that the tasks may take in one world, on a machine with much else to do: they take less than a minute."""

KubeObject = dict[str, Any]


@dataclass(frozen=True)
class World:
    """A namespace with all that the tasks are about, and the files that they copy."""

    name: str
    namespace: str
    yard: Path
    api: ApiServer
    image: str

    def spec(self, kubeconfig: str) -> dict[str, str]:
        """Return the spec of the object whose run is in this world; its fields are variables."""
        return {"ns": self.namespace, "world": self.name, "yard": str(self.yard), "kubeconfig": kubeconfig}

    def prepare(self) -> None:
        self._write_files()
        pods = f"/api/v1/namespaces/{self.namespace}/pods"
        for pod in [*self._read_pods(), *self._drained_pods()]:
            self.api.call("POST", pods, pod)
        apps = f"/apis/apps/v1/namespaces/{self.namespace}"
        self.api.call(
            "POST", f"{apps}/deployments", self._managed("Deployment", "deployed", "deployed", {"replicas": 1})
        )
        for name in ("of-daemonset", "of-daemonset-left"):
            self.api.call("POST", f"{apps}/daemonsets", self._managed("DaemonSet", name, name, {}))
        budgets = f"/apis/policy/v1/namespaces/{self.namespace}/poddisruptionbudgets"
        for name in ("has-budget", "not-evicted"):
            spec = {"minAvailable": 1, "selector": {"matchLabels": {"drained": name}}}
            self.api.call("POST", budgets, {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
                                            "metadata": {"name": name}, "spec": spec})  # fmt: skip

    def _write_files(self) -> None:
        (self.yard / "tree" / "below").mkdir(parents=True)
        for name, text, mode in (("file", "there & back" * 33334, 0o666), ("tree/leaf", "one\n", 0o600),
                                 ("tree/below/leaf", "other\n", 0o640)):  # fmt: skip
            (self.yard / name).write_text(text[:400000])
            (self.yard / name).chmod(mode)
        (self.yard / "tree" / "below").chmod(0o777)

    def _read_pods(self) -> Iterator[KubeObject]:
        three = f"echo one; echo two; echo three; {SLEEP}"
        yield self._pod("alone", {"app": "alone"}, [self._container("main", three)])
        both = [self._container(name, f"echo log of {name}; {SLEEP}") for name in ("first", "second")]
        yield self._pod("pair", {"app": "pair"}, both)
        container = self._container("main", AGAIN)
        container["volumeMounts"] = [{"name": "state", "mountPath": "/state"}]
        again = self._pod("again", {"app": "again"}, [container])
        again["spec"] |= {"volumes": [{"name": "state", "emptyDir": {}}], "restartPolicy": "Always"}
        yield again

    def _drained_pods(self) -> Iterator[KubeObject]:
        names = [case.name for case in DRAINS if "delete_options" in case.options and "daemonset" not in case.name]
        for name in names:
            pod = self._pod(name, {"drained": name}, [self._container("main", SLEEP)])
            if name == STUBBORN:
                pod["spec"]["containers"][0]["command"][-1] = f"trap '' TERM; {SLEEP} & wait; {SLEEP}"
            if "data" in name:
                pod["spec"]["volumes"] = [{"name": "data", "emptyDir": {}}]
            yield pod

    def _container(self, name: str, script: str) -> KubeObject:
        command = ["/bin/sh", "-c", script]
        environment = [{"name": "WHO", "value": name}]
        user = {"runAsUser": 0, "runAsGroup": 0}
        return {"name": name, "image": self.image, "imagePullPolicy": "IfNotPresent", "command": command,
                "env": environment, "securityContext": user}  # fmt: skip

    def _pod(self, name: str, labels: dict[str, str], containers: list[KubeObject]) -> KubeObject:
        spec = {"containers": containers, "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False}
        metadata = {"name": name, "labels": {**labels, "of": self.name}}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def _managed(self, kind: str, name: str, label: str, more: KubeObject) -> KubeObject:
        labels = {"drained": label, "of": self.name}
        pod = self._pod(name, labels, [self._container("main", f"echo of a deployment; {SLEEP}")])
        template = {"metadata": {"labels": labels}, "spec": pod["spec"]}
        spec = {"selector": {"matchLabels": labels}, "template": template, **more}
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}

    def settles(self) -> None:
        """Wait until every container runs, one for the second time, and the budgets count their Pods."""
        eventually(lambda: all(map(_is_running, self._list("/api/v1", "pods"))), f"the Pods of {self.namespace}")
        eventually(lambda: _restarts(self._pod_named("again")) > 0, "a container to start again")
        eventually(self._has_managed_pods, f"the managed Pods of {self.namespace}")
        eventually(lambda: all(map(_is_counted, self._list("/apis/policy/v1", "poddisruptionbudgets"))), "budgets")

    def _has_managed_pods(self) -> bool:
        pods = [pod for pod in self._list("/api/v1", "pods") if pod["metadata"].get("ownerReferences")]
        return len(pods) == 3 and all(map(_is_running, pods))

    def _list(self, group: str, plural: str) -> list[KubeObject]:
        items: list[KubeObject] = self.api.call("GET", f"{group}/namespaces/{self.namespace}/{plural}")["items"]
        return items

    def _pod_named(self, name: str) -> KubeObject:
        return self.api.call("GET", f"/api/v1/namespaces/{self.namespace}/pods/{name}")

    def told(self) -> dict[str, str]:
        """Return what each case gave, as JSON, without the names of this world."""
        text = (self.yard / "told.json").read_text()
        for own, common in ((str(self.yard), "YARD"), (self.namespace, "NAMESPACE"), (self.name, "WORLD")):
            text = text.replace(own, common)
        text = re.sub(r"(of-daemonset(?:-left)?)-[bcdfghjklmnpqrstvwxz2456789]{5}\b", r"\1-RANDOM", text)
        return {name: _comparable(told) for name, told in json.loads(text).items()}


def _is_running(pod: KubeObject) -> bool:
    statuses = pod["status"].get("containerStatuses", [])
    return bool(statuses) and all("running" in one["state"] for one in statuses)


def _restarts(pod: KubeObject) -> int:
    return sum(int(one["restartCount"]) for one in pod["status"].get("containerStatuses", []))


def _is_counted(budget: KubeObject) -> bool:
    return bool(budget.get("status", {}).get("currentHealthy") == 1)


def _comparable(told: KubeObject) -> str:
    """Return a result as JSON, without what another run would say in other words: the node's whole object."""
    result = {name: value for name, value in told["result"].items() if name not in ("invocation", "result")}
    answer = told["result"].get("result")
    if isinstance(answer, dict):
        result["taints"] = answer.get("spec", {}).get("taints")
    elif answer is not None:
        result["result"] = answer
    return json.dumps({**told, "result": result}, sort_keys=True, ensure_ascii=False)


@dataclass(frozen=True)
class Worlds:
    """Both worlds, with what the tasks have left in them."""

    proxied: World
    direct: World


@pytest.fixture(scope="module")
def worlds(target: Target, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worlds]:
    """Do all tasks in both worlds. The node can be scheduled to afterwards, whatever happened."""
    if not target.own:
        pytest.skip("the node of another cluster is not drained")
    directory = tmp_path_factory.mktemp("options")
    node = target.api.call("GET", "/api/v1/nodes")["items"][0]["metadata"]["name"]
    with temporary_namespace(kube, PROXIED) as proxied, temporary_namespace(kube, DIRECT) as direct:
        made = Worlds(*(World(name, namespace, directory / name, target.api, target.image)
                      for name, namespace in ((PROXIED, proxied), (DIRECT, direct))))  # fmt: skip
        for world in (made.proxied, made.direct):
            world.prepare()
        for world in (made.proxied, made.direct):
            world.settles()
        settled = time.monotonic()
        kubeconfig, ca = administrator(target, directory)
        eventually(lambda: time.monotonic() > settled + OLD, "the logs to be old")
        try:
            with options_operator(directory, target, kube, {"node": node, "ca": str(ca)}) as running:
                use(kube, running, made.direct, str(kubeconfig))
                eventually(lambda: not tainted(target.api, node), "a node without taints")
                use(kube, running, made.proxied, "")
        finally:
            target.api.call("PATCH", f"/api/v1/nodes/{node}", {"spec": {"unschedulable": None, "taints": None}},
                            "application/merge-patch+json")  # fmt: skip
        yield made


def administrator(target: Target, directory: Path) -> tuple[Path, Path]:
    """Write a kubeconfig with a token that may do everything, and the API server's CA; return both."""
    name = "node-options"
    token = service_account_token(target.api, "default", name)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "default"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    }
    target.api.call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
    config = yaml.safe_load(target.kubectl.kubeconfig.read_text())
    ca = directory / "ca.crt"
    ca.write_bytes(base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]))
    config["users"][0]["user"] = {"token": token}
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path, ca


def tainted(api: ApiServer, node: str) -> bool:
    return bool(api.call("GET", f"/api/v1/nodes/{node}")["spec"].get("taints"))


@contextmanager
def options_operator(
    directory: Path, target: Target, kube: Kube, variables: dict[str, str]
) -> Iterator[OperatorProcess]:
    """Run an operator whose role does the tasks of all cases."""
    (directory / "role" / "tasks").mkdir(parents=True)
    (directory / "role" / "tasks" / "main.yml").write_text(yaml.safe_dump([block()], sort_keys=False))
    (directory / "crds").mkdir()
    (directory / "crds" / "optional.yaml").write_text(yaml.safe_dump(definition(KIND)))
    watch = {"group": GROUP, "version": "v1", "kind": KIND, "role": str(directory / "role"), "vars": variables}
    watches = directory / "watches.yaml"
    watches.write_text(yaml.safe_dump([watch]))
    flags = ("--user-metrics-bind-address", "127.0.0.1:0")
    env = {"ANSIBLE_GATHERING": "explicit"}
    with (
        installed(kube, directory / "crds"),
        operator(target.kubectl.kubeconfig, watches, flags=flags, env=env) as running,
    ):
        running.wait_ready()
        yield running


def use(kube: Kube, running: OperatorProcess, world: World, kubeconfig: str) -> None:
    """Do the tasks in a world, by a run of an object of its own."""
    made = Thing(kube.api, KIND, world.name).create(world.spec(kubeconfig))
    try:
        eventually(lambda: bool(running.messages("reconciled", name=world.name)), "the tasks", DEADLINE)
    except OperatorProcessError as error:
        raise AssertionError(f"{error}: {running.text()[-6000:]}") from error
    finally:
        made.delete()


@pytest.fixture(scope="module")
def told(worlds: Worlds) -> dict[str, tuple[str, str]]:
    """Give what each case gave: through the operator, and without it."""
    proxied, direct = worlds.proxied.told(), worlds.direct.told()
    return {case.name: (proxied[case.name], direct[case.name]) for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_node_answers_through_the_operator_as_without_it(case: Case, told: dict[str, tuple[str, str]]) -> None:
    proxied, direct = told[case.name]
    assert proxied == direct
    assert case.shows in proxied
    assert json.loads(proxied)["result"].get("failed", False) is case.fails


@pytest.mark.parametrize("copied", ["file", "tree"])
def test_what_was_copied_there_comes_back_as_it_was(copied: str, worlds: Worlds) -> None:
    for world in (worlds.proxied, worlds.direct):
        assert bytes_of(world.yard / f"{copied}-back") == bytes_of(world.yard / copied)


def bytes_of(path: Path) -> dict[str, bytes]:
    """Return the bytes of a file, or of each file below a directory."""
    files = [path] if path.is_file() else [found for found in path.rglob("*") if found.is_file()]
    return {str(found.relative_to(path)): found.read_bytes() for found in files}
