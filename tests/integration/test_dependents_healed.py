"""The whole operator and a role that makes an object: owned, healed when deleted or changed, also after a restart."""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile_devcluster.cluster import Cluster
from tests.support.operator_process import Kube, OperatorProcess, eventually, foo_path, operator
from tools.testing.operator import OperatorProcessError

pytestmark = [pytest.mark.timeout(300), pytest.mark.exhaustive]

NAMESPACE = "dependents-healed"
MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - kubernetes.core.k8s:
        apply: {apply}
        server_side_apply: {server_side_apply}
        definition:
          apiVersion: v1
          kind: ConfigMap
          metadata:
            name: "{{{{ ansible_operator_meta.name }}}}"
            namespace: "{{{{ ansible_operator_meta.namespace }}}}"
          data:
            friend: "{{{{ name }}}}"
"""


def watches(directory: Path, *, server_side: bool) -> Path:
    ssa = "{field_manager: role, force_conflicts: true}" if server_side else "{}"
    play = PLAY.format(apply=str(server_side).lower(), server_side_apply=ssa)
    if not server_side:
        play = play.replace("        apply: false\n        server_side_apply: {}\n", "")
    (directory / "play.yml").write_text(play)
    entry = {"group": "tutorial.my.domain", "version": "v1", "kind": "Foo", "playbook": str(directory / "play.yml")}
    (directory / "watches.yaml").write_text(yaml.safe_dump([entry]))
    return directory / "watches.yaml"


@pytest.fixture(scope="module")
def kube(foo_cluster: Cluster) -> Kube:
    made = Kube(foo_cluster.api)
    made.create_namespace(NAMESPACE)
    return made


def data_of(kube: Kube, name: str) -> dict[str, Any] | None:
    status, answer = kube.api.request("GET", f"{MAPS}/{name}")
    return json.loads(answer)["data"] if status == HTTPStatus.OK else None


def heals(kube: Kube, name: str, running: OperatorProcess, what: str) -> None:
    """Wait until the object is as the role makes it; say what the operator said where it does not become so."""
    becomes_true(lambda: data_of(kube, name) == {"friend": "jack"}, running, what)


def becomes_true(condition: Callable[[], bool], running: OperatorProcess, what: str) -> None:
    try:
        eventually(condition, what)
    except OperatorProcessError as error:
        raise AssertionError(f"{error}\n{running.text()}") from error


@pytest.mark.parametrize("server_side", [False, True], ids=["create", "server-side apply"])
def test_what_a_role_makes_is_owned_and_healed_before_and_after_a_restart(
    foo_cluster: Cluster, kube: Kube, tmp_path: Path, server_side: bool
) -> None:
    name = "ssa" if server_side else "plain"
    file = watches(tmp_path, server_side=server_side)
    kube.create_foo(NAMESPACE, name, "jack")
    with operator(foo_cluster.kubeconfig, file) as running:
        # On a busy machine a start takes as long as a role: each has a deadline of its own.
        running.wait_ready()
        heals(kube, name, running, "the object")
        references = kube.api.call("GET", f"{MAPS}/{name}")["metadata"]["ownerReferences"]
        owner = kube.foo(NAMESPACE, name)["metadata"]
        assert [(it["kind"], it["name"], it["uid"]) for it in references] == [("Foo", name, owner["uid"])]
        watching = {"dependent_gvk": "/v1, Kind=ConfigMap"}
        becomes_true(lambda: bool(running.messages("watching dependents", **watching)), running, "a watch")
        kube.api.call("DELETE", f"{MAPS}/{name}")
        heals(kube, name, running, "the object again")
        kube.patch(f"{MAPS}/{name}", {"data": {"friend": "nobody"}})
        heals(kube, name, running, "the object as it should be")
        running.stop(signal.SIGKILL)
    with (  # a short path: runs have a directory below it, for the sockets of Ansible
        tempfile.TemporaryDirectory(prefix="healed-") as temporary,
        operator(foo_cluster.kubeconfig, file, env={"TMPDIR": temporary}) as running,
    ):
        running.wait_ready()
        becomes_true(lambda: bool(running.messages("reconciled", name=name)), running, "the first run")
        kube.api.call("DELETE", f"{MAPS}/{name}")
        heals(kube, name, running, "the object after a restart")
        assert running.messages("dependent issued an event", dependent=f"{NAMESPACE}/{name}")
        assert list(Path(temporary).rglob("k8srcp-*")), "modules keep what they discovered"
        running.stop()
        assert list(Path(temporary).iterdir()) == []
    kube.api.call("DELETE", foo_path(NAMESPACE, name))
