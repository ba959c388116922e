"""Exec, attach, log, copy and port-forward by runs, through the runner's own proxy, with a kubelet at the other end.

The operator is a process beside the cluster here, so that its role may use kubectl, which the image does not hold.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile_devcluster import crds
from tests.e2e import streams
from tests.e2e.cluster import Target, temporary_namespace
from tests.support.lifecycle import GROUP, Thing, definition
from tests.support.operator_process import Kube, OperatorProcess, eventually, operator
from tools.testing.operator import OperatorProcessError

pytestmark = pytest.mark.timeout(600)

KIND = "Streamed"
POD = "streamed"

# In the container: repeats what it is told on its standard input, and answers in capitals on a port.
SERVER = f"""
import socketserver, sys, threading
class Capitals(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.readline().upper())
server = socketserver.ThreadingTCPServer(("", {streams.PORT}), Capitals)
threading.Thread(target=server.serve_forever).start()
print("listening", flush=True)
for line in sys.stdin:
    print("heard", line, end="", flush=True)
"""

# One file of tasks for each operation. What it saw is for the object's status.
TASKS = {
    "exec-module": """
- kubernetes.core.k8s_exec:
    namespace: "{{ namespace }}"
    pod: streamed
    command: sh -c 'echo out; echo err >&2; exit 3'
  register: done
  failed_when: done.rc != 3
- ansible.builtin.set_fact:
    seen: "{{ done.stdout }}{{ done.stderr }}"
""",
    "log-module": """
- kubernetes.core.k8s_log:
    namespace: "{{ namespace }}"
    name: streamed
  register: done
- ansible.builtin.set_fact:
    seen: "{{ done.log_lines[0] }}"
""",
    "copy-module": """
- ansible.builtin.copy:
    content: "{{ 'there and back ' * 20000 }}"
    dest: "{{ yard }}/there"
    mode: "0600"
- kubernetes.core.k8s_cp:
    namespace: "{{ namespace }}"
    pod: streamed
    local_path: "{{ yard }}/there"
    remote_path: /tmp/carried
    no_preserve: true
- kubernetes.core.k8s_cp:
    namespace: "{{ namespace }}"
    pod: streamed
    local_path: "{{ yard }}/back"
    remote_path: /tmp/carried
    state: from_pod
- ansible.builtin.command: cmp {{ yard }}/there {{ yard }}/back
- ansible.builtin.set_fact:
    seen: the same
""",
    "stream": """
- ansible.builtin.command: "{{ python }} {{ program }} {{ operation }} {{ kubectl }} {{ namespace }} streamed"
  register: done
- ansible.builtin.set_fact:
    seen: "{{ done.stdout }}"
""",
}

PROTOCOLS = {"websocket": "true", "spdy": "false"}
"""What kubectl speaks, and what tells it so."""

MAIN = f"""
- name: Stream
  vars:
    namespace: "{{{{ of }}}}"
    websockets: "{{{{ {PROTOCOLS}[protocol | default('websocket')] }}}}"
  environment:
    KUBECTL_REMOTE_COMMAND_WEBSOCKETS: "{{{{ websockets }}}}"
    KUBECTL_PORT_FORWARD_WEBSOCKETS: "{{{{ websockets }}}}"
  block:
    - ansible.builtin.include_tasks: "{{{{ tasks }}}}.yml"
- name: Say what was seen
  reconcile_runner.util.k8s_status:
    api_version: life.test/v1
    kind: Streamed
    name: "{{{{ ansible_operator_meta.name }}}}"
    namespace: "{{{{ ansible_operator_meta.namespace }}}}"
    status:
      seen: "{{{{ seen }}}}"
"""


@dataclass(frozen=True)
class Streamer:
    """An operator whose runs stream to and from one Pod."""

    kube: Kube
    namespace: str
    process: OperatorProcess

    def sees(self, tasks: str, **spec: str) -> str:
        """Run some tasks for a new object; return what they saw."""
        made = Thing(self.kube.api, KIND, f"streamed-{secrets.token_hex(4)}").create(
            {"of": self.namespace, "tasks": tasks, **spec}
        )
        try:
            eventually(lambda: "seen" in status_of(made), f"{tasks} {spec} to be done")
            return str(status_of(made)["seen"])
        except OperatorProcessError as error:
            raise AssertionError(f"{error}: {status_of(made)}\n{self.process.text()[-6000:]}") from error
        finally:
            made.delete()


def status_of(made: Thing) -> dict[str, Any]:
    status: dict[str, Any] = made.get().get("status", {})
    return status


@pytest.fixture(scope="module")
def streamer(target: Target, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Streamer]:
    directory = tmp_path_factory.mktemp("streaming")
    (directory / "crds").mkdir()
    (directory / "crds" / "streamed.yaml").write_text(yaml.safe_dump(definition(KIND)))
    with installed(kube, directory / "crds"), temporary_namespace(kube, "streaming") as namespace:
        kube.api.call("POST", f"/api/v1/namespaces/{namespace}/pods", server_pod(target.image))
        target.kubectl.wait(namespace, f"pod/{POD}", "condition=Ready", 120)
        watches = write_operator(directory, target)
        env = {"ANSIBLE_GATHERING": "explicit"}
        flags = ("--user-metrics-bind-address", "127.0.0.1:0")
        with operator(target.kubectl.kubeconfig, watches, flags=flags, env=env) as process:
            process.wait_ready()
            yield Streamer(kube, namespace, process)


@contextmanager
def installed(kube: Kube, directory: Path) -> Iterator[None]:
    """Install CRDs until the block ends."""
    crds.install(kube.api, directory)
    try:
        yield
    finally:
        for path in directory.iterdir():
            name = yaml.safe_load(path.read_text())["metadata"]["name"]
            kube.api.call("DELETE", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")


def server_pod(image: str) -> dict[str, Any]:
    container = {
        "name": "server",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-u", "-c", SERVER],
        "stdin": True,
        "readinessProbe": {"tcpSocket": {"port": streams.PORT}, "periodSeconds": 1},
    }
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD}, "spec": spec}


def write_operator(directory: Path, target: Target) -> Path:
    """Write the role and what watches its kind; return the latter."""
    tasks = directory / "role" / "tasks"
    tasks.mkdir(parents=True)
    (tasks / "main.yml").write_text(MAIN)
    for name, text in TASKS.items():
        (tasks / f"{name}.yml").write_text(text)
    yard = directory / "yard"
    yard.mkdir()
    more = {
        "kubectl": str(target.kubectl.program),
        "python": sys.executable,
        "program": str(Path(streams.__file__)),
        "yard": str(yard),
    }
    watch = {"group": GROUP, "version": "v1", "kind": KIND, "role": str(directory / "role"), "vars": more}
    path = directory / "watches.yaml"
    path.write_text(yaml.safe_dump([watch]))
    return path


def test_the_modules_of_a_role_run_commands_in_a_container(streamer: Streamer) -> None:
    assert streamer.sees("exec-module").split() == ["out", "err"]


def test_the_modules_of_a_role_read_a_log(streamer: Streamer) -> None:
    assert streamer.sees("log-module") == "listening"


def test_the_modules_of_a_role_copy_a_file_there_and_back(streamer: Streamer) -> None:
    assert streamer.sees("copy-module") == "the same"


SEEN = {
    "exec": f"{streams.MANY} bytes, the same",
    "attach": f"heard {streams.WORD}",
    "port-forward": "right answers: [True, True]",
}


@pytest.mark.parametrize("protocol", list(PROTOCOLS))
@pytest.mark.parametrize("operation", list(SEEN))
def test_kubectl_in_a_run_carries_bytes_both_ways(streamer: Streamer, operation: str, protocol: str) -> None:
    assert streamer.sees("stream", operation=operation, protocol=protocol).splitlines() == [protocol, SEEN[operation]]


def test_kubectl_in_a_run_follows_a_log_line_by_line(streamer: Streamer) -> None:
    assert streamer.sees("stream", operation="logs").splitlines()[-1] == f"late {streams.WORD}"
