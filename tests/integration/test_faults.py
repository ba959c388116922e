"""Faults: each a clear message, no traceback for a user's mistake, recovery by itself, nothing lost."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from reconcile_devcluster.cluster import Cluster
from tests.support.controlplane import stop_api_server
from tests.support.operator_process import REPOSITORY, Kube, OperatorProcess, eventually, install_foo_crd, operator

pytestmark = pytest.mark.timeout(300)

CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/foos.tutorial.my.domain"
GOOD_TASKS = "- name: Say\n  ansible.builtin.debug:\n    msg: all is well\n"

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Project:
    """A role of a test's own, for the Foos of a namespace of its own."""

    directory: Path
    namespace: str

    @property
    def watches(self) -> Path:
        return self.directory / "watches.yaml"

    @property
    def env(self) -> dict[str, str]:
        return {"WATCH_NAMESPACE": self.namespace, "ANSIBLE_GATHERING": "explicit"}

    def write_tasks(self, text: str) -> None:
        tasks = self.directory / "role" / "tasks"
        tasks.mkdir(parents=True, exist_ok=True)
        (tasks / "main.yml").write_text(text)


@pytest.fixture
def project(tmp_path: Path, foo_cluster: Cluster) -> Project:
    namespace = f"faults-{next(_numbers)}"
    Kube(foo_cluster.api).create_namespace(namespace)
    made = Project(tmp_path, namespace)
    made.write_tasks(GOOD_TASKS)
    watch = {"group": "tutorial.my.domain", "version": "v1", "kind": "Foo", "role": str(tmp_path / "role")}
    made.watches.write_text(yaml.safe_dump([watch]))
    return made


@pytest.fixture
def kube(foo_cluster: Cluster) -> Kube:
    return Kube(foo_cluster.api)


def failure(kube: Kube, project: Project) -> str:
    """Return the message of the Failure condition of the project's Foo, waiting for it."""
    eventually(
        lambda: kube.condition(project.namespace, "foo", "Failure").get("status") == "True", "a Failure condition"
    )
    assert kube.condition(project.namespace, "foo", "Ready")["status"] == "False"
    return str(kube.condition(project.namespace, "foo", "Failure")["message"])


def becomes_ready(kube: Kube, project: Project) -> None:
    eventually(lambda: kube.condition(project.namespace, "foo", "Ready").get("status") == "True", "the Foo to be ready")


def becomes(kube: Kube, name: str, happy: bool) -> None:
    eventually(lambda: kube.happy("default", name) is happy, f"default/{name} to have happy={happy}")


def has_no_traceback(running: OperatorProcess) -> None:
    assert "Traceback" not in running.text()
    assert not [line for line in running.lines if "stacktrace" in line]


def refused_start(kubeconfig: Path, watches: Path) -> str:
    """Return what the operator says when it refuses to start, with exit code 1 and no traceback."""
    command = [
        sys.executable,
        "-m",
        "reconcile_runner",
        "run",
        "--kubeconfig",
        str(kubeconfig),
        "--watches-file",
        str(watches),
    ]
    command += ["--health-probe-bind-address", "0", "--metrics-bind-address", "0"]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_a_syntax_error_is_shown_with_its_file_and_heals_when_corrected(
    foo_cluster: Cluster, kube: Kube, project: Project
) -> None:
    project.write_tasks("- name: Broken\n  ansible.builtin.debug: {msg: [}\n")
    kube.create_foo(project.namespace, "foo", "jack")
    with operator(foo_cluster.kubeconfig, project.watches, env=project.env) as running:
        message = failure(kube, project)
        assert "main.yml" in message
        assert running.wait_for_message("reconcile failed", name="foo")["error"] == message
        project.write_tasks(GOOD_TASKS)
        becomes_ready(kube, project)
        has_no_traceback(running)


def test_a_failing_task_is_named_with_its_message_and_a_new_spec_is_tried_at_once(
    foo_cluster: Cluster, kube: Kube, project: Project
) -> None:
    project.write_tasks(
        "- name: Look into the oven\n  ansible.builtin.assert:\n"
        "    that: name != 'cold'\n    fail_msg: the oven is cold\n"
    )
    kube.create_foo(project.namespace, "foo", "cold")
    with operator(foo_cluster.kubeconfig, project.watches, env=project.env) as running:
        message = failure(kube, project)
        assert "Look into the oven" in message
        assert "the oven is cold" in message
        kube.patch_foo(project.namespace, "foo", "warm")
        becomes_ready(kube, project)
        has_no_traceback(running)


def test_rescued_and_ignored_failures_are_no_failures(foo_cluster: Cluster, kube: Kube, project: Project) -> None:
    project.write_tasks(
        "- name: Try\n  block:\n    - name: Fail\n      ansible.builtin.fail:\n  rescue:\n"
        "    - name: Heal\n      ansible.builtin.debug:\n        msg: healed\n"
        "- name: Fail in vain\n  ansible.builtin.fail:\n  ignore_errors: true\n"
    )
    kube.create_foo(project.namespace, "foo", "jack")
    with operator(foo_cluster.kubeconfig, project.watches, env=project.env) as running:
        becomes_ready(kube, project)
        assert kube.condition(project.namespace, "foo", "Failure")["status"] == "False"
        assert not running.messages("reconcile failed")


def test_a_role_that_is_missing_at_the_start_is_refused_with_the_places_looked_at(
    foo_cluster: Cluster, project: Project
) -> None:
    project.watches.write_text(project.watches.read_text().replace(str(project.directory / "role"), "no-such-role"))
    said = refused_start(foo_cluster.kubeconfig, project.watches)
    for part in ("watches.yaml", "role", "no-such-role", str(REPOSITORY / "roles" / "no-such-role")):
        assert part in said


def test_a_role_that_goes_missing_is_a_failure_until_it_is_back(
    foo_cluster: Cluster, kube: Kube, project: Project
) -> None:
    with operator(foo_cluster.kubeconfig, project.watches, env=project.env) as running:
        running.wait_ready()
        (project.directory / "role").rename(project.directory / "elsewhere")
        kube.create_foo(project.namespace, "foo", "jack")
        assert "role" in failure(kube, project)
        (project.directory / "elsewhere").rename(project.directory / "role")
        becomes_ready(kube, project)
        has_no_traceback(running)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "kubeconfig"),
        ("{ this is: [not yaml", "kubeconfig"),
        ("apiVersion: v1\nkind: Config\n", "current-context"),
    ],
    ids=["missing", "not YAML", "empty"],
)
def test_a_broken_kubeconfig_is_refused_in_one_line(
    tmp_path: Path, foo_cluster: Cluster, project: Project, content: str | None, expected: str
) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    said = refused_start(path, project.watches)
    assert str(path) in said
    assert expected in said


@pytest.mark.exhaustive
def test_a_missing_crd_is_waited_for_not_ready_and_said_once(own_cluster: Cluster) -> None:
    with operator(own_cluster.kubeconfig) as running:
        missing = running.wait_for_message("kind is missing, waiting for its CRD")
        assert "Foo" in str(missing["gvk"])
        status, text = running.probe("/readyz")
        assert (status, "Foo" in text) == (500, True)
        assert running.probe("/healthz") == (200, "ok")
        install_foo_crd(own_cluster.api)
        running.wait_ready()
        assert len(running.messages("kind is missing, waiting for its CRD")) == 1, "one line a minute"

        kube = Kube(own_cluster.api)
        kube.create_foo("default", "foo", "jack")
        becomes(kube, "foo", False)
        own_cluster.api.call("DELETE", CRD_PATH)
        eventually(lambda: not kube.exists(CRD_PATH), "the CRD to be removed")
        eventually(lambda: running.probe("/readyz")[0] == 500, "the operator to be unready without its kind")
        install_foo_crd(own_cluster.api)
        kube.create_foo("default", "foo", "jack")
        becomes(kube, "foo", False)
        has_no_traceback(running)


def test_forbidden_lists_are_said_and_granted_rights_are_noticed(
    foo_cluster: Cluster, kube: Kube, project: Project
) -> None:
    user = f"operator-{project.namespace}"
    kubeconfig = foo_cluster.create_user(user, [])
    kube.create_foo(project.namespace, "foo", "jack")
    with operator(kubeconfig, project.watches, env=project.env) as running:
        eventually(lambda: "forbidden" in running.text(), "a line that says what is forbidden")
        assert user in running.text()
        assert running.probe("/readyz")[0] == 500
        grant(kube, project.namespace, user, ["get", "list", "watch"])
        running.wait_ready()
        running.wait_for_message("the status is refused: trying to write it again")
        grant(kube, project.namespace, user, ["get", "list", "watch", "patch"])
        becomes_ready(kube, project)
        has_no_traceback(running)


def grant(kube: Kube, namespace: str, user: str, verbs: list[str]) -> None:
    """Let a user do this to the Foos of a namespace."""
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rules = [{"apiGroups": ["tutorial.my.domain"], "resources": ["foos", "foos/status"], "verbs": verbs}]
    if kube.exists(f"{rbac}/roles/foo"):
        kube.patch(f"{rbac}/roles/foo", {"rules": rules})
        return
    kube.api.call("POST", f"{rbac}/roles", {"metadata": {"name": "foo"}, "rules": rules})
    api_group = "rbac.authorization.k8s.io"
    binding = {
        "metadata": {"name": "foo"},
        "roleRef": {"apiGroup": api_group, "kind": "Role", "name": "foo"},
        "subjects": [{"apiGroup": api_group, "kind": "User", "name": user}],
    }
    kube.api.call("POST", f"{rbac}/rolebindings", binding)


def test_a_request_that_a_role_may_not_make_is_a_failure_that_says_so(
    foo_cluster: Cluster, kube: Kube, project: Project
) -> None:
    user = f"operator-{project.namespace}"
    kubeconfig = foo_cluster.create_user(user, [])
    grant(kube, project.namespace, user, ["get", "list", "watch", "patch"])
    project.write_tasks(
        "- name: Read a secret\n  kubernetes.core.k8s_info:\n    api_version: v1\n    kind: Secret\n"
        "    namespace: kube-system\n  register: secrets\n"
        "- name: Write a map\n  kubernetes.core.k8s:\n    definition:\n      apiVersion: v1\n      kind: ConfigMap\n"
        "      metadata: {name: x, namespace: kube-system}\n"
    )
    kube.create_foo(project.namespace, "foo", "jack")
    with operator(kubeconfig, project.watches, env=project.env) as running:
        message = failure(kube, project)
        assert "orbidden" in message
        assert user in message
        has_no_traceback(running)


@pytest.mark.exhaustive
def test_an_unreachable_api_server_is_waited_for_at_the_start_and_in_between(own_cluster: Cluster) -> None:
    kube = Kube(own_cluster.api)
    install_foo_crd(own_cluster.api)
    kube.create_foo("default", "foo", "jack")
    stop_api_server(own_cluster)
    with operator(own_cluster.kubeconfig) as running:
        eventually(lambda: own_cluster.server in running.text(), "a line that names the server")
        eventually(lambda: running.probe("/readyz")[0] == 500, "the operator to be alive but not ready")
        own_cluster.start_api_server()
        running.wait_ready()
        becomes(kube, "foo", False)
        stop_api_server(own_cluster)
        eventually(lambda: running.probe("/readyz")[0] == 500, "the operator to notice the outage")
        own_cluster.start_api_server()
        kube.create_pod("default", "jack")
        becomes(kube, "foo", True)
        running.wait_ready()
        has_no_traceback(running)


@pytest.mark.exhaustive
def test_events_while_the_operator_is_down_are_made_good(own_cluster: Cluster) -> None:
    kube = Kube(own_cluster.api)
    install_foo_crd(own_cluster.api)
    with operator(own_cluster.kubeconfig) as first:
        kube.create_foo("default", "foo-a", "ann")
        kube.create_foo("default", "foo-b", "bob")
        kube.create_pod("default", "ann")
        becomes(kube, "foo-a", True)
        becomes(kube, "foo-b", False)
        assert first.stop() == 0
    kube.delete_pod("default", "ann")
    kube.create_pod("default", "bob")
    kube.create_foo("default", "foo-c", "bob")
    with operator(own_cluster.kubeconfig):
        becomes(kube, "foo-a", False)
        becomes(kube, "foo-b", True)
        becomes(kube, "foo-c", True)


def test_a_run_that_takes_too_long_is_ended_and_said(foo_cluster: Cluster, kube: Kube, project: Project) -> None:
    project.write_tasks("- name: Sleep\n  ansible.builtin.command: sleep 4321\n  changed_when: false\n")
    kube.create_foo(project.namespace, "foo", "jack")
    flags = ("--run-timeout", "4s")
    with operator(foo_cluster.kubeconfig, project.watches, flags=flags, env=project.env) as running:
        message = failure(kube, project)
        assert "4" in message
        running.wait_for_message("reconcile failed", name="foo")
        project.write_tasks(GOOD_TASKS)
        becomes_ready(kube, project)


def test_sigterm_lets_a_run_finish_and_ends_with_zero(foo_cluster: Cluster, kube: Kube, project: Project) -> None:
    project.write_tasks("- name: Sleep\n  ansible.builtin.command: sleep 3\n  changed_when: false\n")
    kube.create_foo(project.namespace, "foo", "jack")
    with operator(foo_cluster.kubeconfig, project.watches, env=project.env) as running:
        running.wait_for_message("reconciling", name="foo")
        assert running.stop() == 0
        assert running.messages("reconciled", name="foo"), running.text()
    assert kube.condition(project.namespace, "foo", "Ready")["status"] == "True"
