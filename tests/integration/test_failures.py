"""Failures of a real operator's runs: told where people look, tried again, healed by a correction."""

from __future__ import annotations

import itertools
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from reconcile_devcluster.cluster import Cluster
from tests.support.operator_process import REPOSITORY, Kube, OperatorProcess, eventually, operator

pytestmark = pytest.mark.timeout(300)

WARM_UP_FAILED = "an empty playbook cannot be run, so every run will fail"
GOOD_TASKS = "- name: Say\n  ansible.builtin.debug:\n    msg: all is well\n"
REFUSED_STATUS = """
- name: Say what is no boolean
  reconcile_runner.util.k8s_status:
    api_version: tutorial.my.domain/v1
    kind: Foo
    name: "{{ ansible_operator_meta.name }}"
    namespace: "{{ ansible_operator_meta.namespace }}"
    status: {happy: perhaps}
  ignore_errors: true
"""
NO_HOSTS = """
- name: Tune the databases
  hosts: databases
  gather_facts: false
  tasks: []
"""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Project:
    """The working directory of an operator for the Foos of a namespace of its own."""

    directory: Path
    cluster: Cluster
    namespace: str

    @property
    def kube(self) -> Kube:
        return Kube(self.cluster.api)

    def write(self, path: str, text: str) -> None:
        file = self.directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def watch(self, **fields: object) -> None:
        watch = {"group": "tutorial.my.domain", "version": "v1", "kind": "Foo", **fields}
        self.write("watches.yaml", yaml.safe_dump([watch]))

    def failure(self) -> str:
        """Return the message of the Foo's ``Ready``, once that is false."""
        eventually(lambda: self.kube.condition(self.namespace, "foo", "Ready").get("status") == "False", "a failed run")
        return str(self.kube.condition(self.namespace, "foo", "Ready")["message"])

    def becomes_ready(self) -> None:
        eventually(
            lambda: self.kube.condition(self.namespace, "foo", "Ready").get("status") == "True", "the Foo to be ready"
        )

    def events(self) -> list[tuple[str, str, str]]:
        """Return type, reason and message of the namespace's Events."""
        items = self.kube.api.call("GET", f"/api/v1/namespaces/{self.namespace}/events")["items"]
        return [(item["type"], item["reason"], item["message"]) for item in items]


@pytest.fixture
def project(tmp_path: Path, foo_cluster: Cluster) -> Project:
    made = Project(tmp_path, foo_cluster, f"failures-{next(_numbers)}")
    made.kube.create_namespace(made.namespace)
    made.kube.create_foo(made.namespace, "foo", "jack")
    made.write("roles/say/tasks/main.yml", GOOD_TASKS)
    made.watch(role="say")
    return made


def running(project: Project, *flags: str, **env: str) -> AbstractContextManager[OperatorProcess]:
    """Run the operator in the project's directory."""
    env = {
        "WATCH_NAMESPACE": project.namespace,
        "ANSIBLE_GATHERING": "explicit",
        "ANSIBLE_CONFIG": "ansible.cfg",
        **env,
    }
    watches = project.directory / "watches.yaml"
    return operator(project.cluster.kubeconfig, watches, flags=flags, env=env, directory=project.directory)


def delays(process: OperatorProcess, number: int) -> list[float]:
    """Return how long the first failures of the Foo wait for their next try."""
    eventually(lambda: len(process.messages("reconcile failed", name="foo")) >= number, f"{number} failures")
    return [line["requeue_after_seconds"] for line in process.messages("reconcile failed", name="foo")[:number]]


def test_a_failure_before_the_first_task_is_tried_again_from_a_second_on_and_others_at_once(project: Project) -> None:
    project.write("roles/say/tasks/main.yml", "- name: Broken\n  no.such.friend: {}\n")
    with running(project) as process:
        assert delays(process, 2) == [1.0, 2.0]
        assert "roles/say/tasks/main.yml:1:3" in project.failure()
        project.write("roles/say/tasks/main.yml", "- name: Look\n  ansible.builtin.fail: {msg: no friend}\n")
        eventually(lambda: "no friend" in project.failure(), "the failure of a task")
        assert project.failure() == f"Look ({project.directory}/roles/say/tasks/main.yml:1): no friend"
        project.write("roles/say/tasks/main.yml", GOOD_TASKS)
        project.becomes_ready()


def test_a_failed_task_is_tried_again_as_upstream_does(project: Project) -> None:
    project.write("roles/say/tasks/main.yml", "- name: Look\n  ansible.builtin.fail: {msg: no friend}\n")
    with running(project) as process:
        assert delays(process, 3) == [0.005, 0.01, 0.02]


@pytest.mark.parametrize("engine", ["forkserver", "subprocess"])
def test_a_collections_path_that_is_corrected_counts_in_the_next_run(project: Project, engine: str) -> None:
    project.write("roles/say/tasks/main.yml", "- name: Greet\n  mine.own.hello: {}\n")
    project.write("ansible.cfg", "[defaults]\ncollections_path = wrong\n")
    project.write("right/ansible_collections/mine/own/plugins/modules/hello.py", HELLO)
    with running(project, "--engine", engine) as process:
        assert "mine.own.hello" in project.failure()
        project.write("ansible.cfg", "[defaults]\ncollections_path = right\n")
        project.becomes_ready()
        assert process.process.poll() is None


HELLO = """
from ansible.module_utils.basic import AnsibleModule
AnsibleModule({}).exit_json()
"""


def test_a_status_that_is_refused_and_ignored_is_a_warning_and_an_event(project: Project) -> None:
    project.write("roles/say/tasks/main.yml", REFUSED_STATUS)
    with running(project, "--ansible-collections-path", str(REPOSITORY / ".collections")) as process:
        line = process.wait_for_message("a status was not written, and the role ignores it", name="foo")
        assert line["level"] == "warn"
        assert line["task"] == "Say what is no boolean"
        assert line["task_path"] == f"{project.directory}/roles/say/tasks/main.yml:2"
        assert "status.happy" in line["error"]
        project.becomes_ready()
        eventually(lambda: "StatusNotWritten" in {reason for _, reason, _ in project.events()}, "the Event")
    [message] = [message for _, reason, message in project.events() if reason == "StatusNotWritten"]
    assert "main.yml:2" in message
    assert "status.happy" in message


def test_a_playbook_whose_hosts_match_nothing_has_not_succeeded(project: Project) -> None:
    project.write("play.yml", NO_HOSTS)
    project.watch(playbook="play.yml")
    with running(project) as process:
        message = "nothing was run: no host matches the play 'Tune the databases' (hosts: databases)"
        assert project.failure() == f"{message} of {project.directory}/play.yml"
        assert process.wait_for_message("play skipped: no host matches")["hosts"] == "databases"
        assert delays(process, 1) == [1.0]


@pytest.mark.parametrize("engine", ["forkserver", "subprocess"])
@pytest.mark.parametrize(
    ("flags", "env", "config", "expected"),
    [
        ([], {"ANSIBLE_STDOUT_CALLBACK": "no.such.one"}, "", ("ANSIBLE_STDOUT_CALLBACK", "no.such.one")),
        (["--ansible-args=--vault-password-file=/no/such/file"], {}, "", ("/no/such/file",)),
        ([], {}, "no ini file", ("ansible.cfg",)),
    ],
    ids=["callback", "vault password", "configuration"],
)
def test_what_lets_every_run_fail_is_told_at_the_start_and_by_each_run(
    project: Project, engine: str, flags: list[str], env: dict[str, str], config: str, expected: tuple[str, ...]
) -> None:
    project.write("ansible.cfg", config)
    with running(project, "--engine", engine, *flags, **env) as process:
        told = str(process.wait_for_message(WARM_UP_FAILED)["error"])
        assert [words for words in expected if words not in told] == [], told
        assert project.failure() == told
        assert "\n" not in told
        assert "Traceback" not in process.text(), process.text()
