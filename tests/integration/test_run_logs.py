"""What a run says in the log: JSON alone, in order, as much as was asked for, and never what no_log hides."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from reconcile_devcluster.cluster import Cluster
from tests.support.operator_process import Kube, OperatorProcess, operator, write_foo_watches

pytestmark = pytest.mark.timeout(300)

CANARY = "canary-in-the-spec"
TASKS = """
- name: Say the first thing
  ansible.builtin.debug:
    msg: one

- name: Say a secret
  ansible.builtin.debug:
    msg: "the secret is {{ name }}"
  no_log: true

- name: Use a secret
  ansible.builtin.command: "ls /{{ name }}"
  changed_when: false
  no_log: true
  ignore_errors: true

- name: Say more
  ansible.builtin.debug:
    msg: "{{ item }}"
  loop: [two, three]
"""
SAID = [
    "one",
    "the output has been hidden due to the fact that 'no_log: true' was specified for this result",
    "task started",
    "task failed, which it may",
    "two",
    "three",
    "play recap",
]

_numbers = itertools.count(1)


@pytest.fixture
def watches(tmp_path: Path) -> Path:
    return write_foo_watches(tmp_path, TASKS)


def log_of_a_run(running: OperatorProcess, kube: Kube, namespace: str) -> list[dict[str, object]]:
    """Run the role once, and return the lines of the run."""
    kube.create_foo(namespace, "foo", CANARY)
    running.wait_for_message("reconciled", name="foo")
    assert not [line for line in running.lines if line["level"] == "raw"]
    assert CANARY not in running.text()
    return [line for line in running.lines if line.get("logger") == "role"]


@pytest.mark.parametrize(
    ("flags", "env", "others", "has_output"),
    [
        pytest.param((), {}, None, False, id="tasks"),
        pytest.param(("--ansible-log-events=Output",), {}, "ansible output", True, id="output"),
        pytest.param((), {"ANSIBLE_DEBUG_LOGS": "true"}, "ansible output", True, id="debug logs"),
        pytest.param(("--ansible-log-events=Everything",), {}, "job event", True, id="everything"),
    ],
)
def test_a_run_says_what_was_asked_for_and_no_secret(
    foo_cluster: Cluster, watches: Path, flags: tuple[str, ...], env: dict[str, str], others: str, has_output: bool
) -> None:
    kube = Kube(foo_cluster.api)
    namespace = f"run-logs-{next(_numbers)}"
    kube.create_namespace(namespace)
    env = {"WATCH_NAMESPACE": namespace, "ANSIBLE_GATHERING": "explicit", **env}
    with operator(foo_cluster.kubeconfig, watches, flags=flags, env=env) as running:
        lines = log_of_a_run(running, kube, namespace)
    assert [line["msg"] for line in lines if line["msg"] != others] == SAID
    assert len({line["job"] for line in lines}) == 1
    assert {line["name"] for line in lines} == {"foo"}
    output = "\n".join(str(line["stdout"]) for line in lines if "stdout" in line)
    assert ("TASK [role : Use a secret]" in output and "PLAY RECAP" in output) is has_output


def test_nothing_is_nothing(foo_cluster: Cluster, watches: Path) -> None:
    kube = Kube(foo_cluster.api)
    namespace = f"run-logs-{next(_numbers)}"
    kube.create_namespace(namespace)
    env = {"WATCH_NAMESPACE": namespace, "ANSIBLE_GATHERING": "explicit"}
    with operator(foo_cluster.kubeconfig, watches, flags=("--ansible-log-events=nothing",), env=env) as running:
        assert log_of_a_run(running, kube, namespace) == []
