"""What the tasks of a role need on top of what the operator needs for itself."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.rbac.roles import Workplace

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ n }}", "namespace": "{{ n }}"}}
MADE = {"create", "get", "patch", "list", "watch"}
EXEC = {"get", "create"}

Row = tuple[str, dict[str, Any], dict[str, set[str]]]

ROWS: list[Row] = [
    ("k8s", {"definition": CONFIG_MAP}, {"configmaps": MADE}),
    ("k8s", {"apply": True, "definition": CONFIG_MAP}, {"configmaps": MADE}),
    (
        "k8s",
        {"apply": True, "server_side_apply": {"field_manager": "x"}, "definition": CONFIG_MAP},
        {"configmaps": MADE},
    ),
    ("k8s", {"force": True, "definition": CONFIG_MAP}, {"configmaps": MADE | {"update"}}),
    ("k8s", {"state": "patched", "definition": CONFIG_MAP}, {"configmaps": {"get", "patch"}}),
    ("k8s", {"state": "absent", "definition": CONFIG_MAP}, {"configmaps": {"get", "delete"}}),
    ("k8s", {"state": "{{ s }}", "definition": CONFIG_MAP}, {"configmaps": MADE | {"delete"}}),
    (
        "k8s",
        {"state": "absent", "kind": "Pod", "delete_all": True, "namespace": "n"},
        {"pods": {"get", "list", "delete"}},
    ),
    ("k8s", {"state": "absent", "kind": "Pod", "label_selectors": ["a=b"]}, {"pods": {"get", "list", "delete"}}),
    (
        "k8s",
        {"kind": "Job", "api_version": "batch/v1", "generate_name": "x-"},
        {"jobs.batch": {"create", "list", "watch"}},
    ),
    (
        "k8s",
        {"kind": "Job", "api_version": "batch/v1", "generate_name": "x-", "wait": True},
        {"jobs.batch": {"create", "get", "list", "watch"}},
    ),
    (
        "k8s",
        {"definition": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "one"}}},
        {"secrets": {"create"}, "secrets[one]": {"get", "patch"}},
    ),
    (
        "k8s",
        {"definition": {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "{{ n }}"}}},
        {"events": {"get"}},
    ),
    ("k8s", {"kind": "Namespace", "name": "{{ n }}"}, {"namespaces": {"create", "get", "patch"}}),
    ("k8s_service", {"name": "{{ n }}", "namespace": "n", "ports": []}, {"services": MADE}),
    ("k8s_service", {"name": "a", "state": "absent"}, {"services[a]": {"get", "delete"}}),
    ("k8s_info", {"kind": "Pod"}, {"pods": {"list"}}),
    ("k8s_info", {"kind": "Pod", "name": "{{ n }}"}, {"pods": {"get"}}),
    ("k8s_info", {"kind": "Pod", "name": "{{ n | default(omit) }}"}, {"pods": {"get", "list"}}),
    ("k8s_info", {"kind": "Pod", "namespace": "n", "wait": True}, {"pods": {"get", "list"}}),
    ("k8s_info", {"kind": "Secret", "name": "one", "namespace": "n"}, {"secrets[one]": {"get"}}),
    (
        "k8s_scale",
        {"api_version": "apps/v1", "kind": "Deployment", "name": "{{ n }}"},
        {"deployments.apps": {"get"}, "deployments/scale.apps": {"patch"}},
    ),
    ("k8s_scale", {"api_version": "batch/v1", "kind": "Job", "name": "{{ n }}"}, {"jobs.batch": {"get", "patch"}}),
    (
        "k8s_scale",
        {"definition": {"apiVersion": "apps/v1", "kind": "StatefulSet"}, "label_selectors": ["a=b"]},
        {"statefulsets.apps": {"get", "list"}, "statefulsets/scale.apps": {"patch"}},
    ),
    ("k8s_json_patch", {"kind": "Node", "name": "{{ n }}"}, {"nodes": {"get", "patch"}}),
    ("k8s_exec", {"pod": "{{ p }}", "command": "ls"}, {"pods": {"get"}, "pods/exec": EXEC}),
    ("k8s_cp", {"pod": "p", "remote_path": "/"}, {"pods[p]": {"get"}, "pods/exec[p]": EXEC}),
    ("k8s_log", {"name": "{{ n }}"}, {"pods/log": {"get"}}),
    ("k8s_log", {"name": "{{ n }}", "all_containers": True}, {"pods": {"get"}, "pods/log": {"get"}}),
    ("k8s_log", {"label_selectors": ["a=b"]}, {"pods": {"list"}, "pods/log": {"get"}}),
    (
        "k8s_log",
        {"api_version": "apps/v1", "kind": "Deployment", "name": "{{ n }}"},
        {"deployments.apps": {"get"}, "pods": {"list"}, "pods/log": {"get"}},
    ),
    (
        "k8s_rollback",
        {"api_version": "apps/v1", "kind": "Deployment", "name": "{{ n }}"},
        {"deployments.apps": {"get", "patch"}, "replicasets.apps": {"list"}},
    ),
    (
        "k8s_rollback",
        {"api_version": "apps/v1", "kind": "DaemonSet", "name": "{{ n }}"},
        {"daemonsets.apps": {"get", "patch"}, "controllerrevisions.apps": {"list"}},
    ),
    ("k8s_drain", {"name": "{{ n }}", "state": "cordon"}, {"nodes": {"get", "patch"}}),
    (
        "k8s_drain",
        {"name": "{{ n }}"},
        {"nodes": {"get", "patch"}, "pods": {"get", "list"}, "pods/eviction": {"create"}},
    ),
    (
        "k8s_drain",
        {"name": "{{ n }}", "delete_options": {"disable_eviction": True}},
        {"nodes": {"get", "patch"}, "pods": {"get", "list", "delete"}},
    ),
    ("k8s_taint", {"name": "{{ n }}", "taints": []}, {"nodes": {"get", "patch"}}),
    ("k8s_cluster_info", {}, {}),
    (
        "k8s_status",
        {"api_version": "apps/v1", "kind": "Deployment", "name": "{{ n }}"},
        {"deployments.apps": {"get"}, "deployments/status.apps": {"patch"}},
    ),
    ("k8s_event", {"name": "x", "involvedObject": {"kind": "Pod", "uid": "{{ u }}"}}, {"events": {"get"}}),
    ("k8s_event", {"name": "x", "involvedObject": {"kind": "Pod"}}, {"events": {"get"}, "pods": {"get"}}),
    ("k8s_event", {"name": "x", "state": "absent"}, {"events": {"get", "delete"}}),
    ("requeue_after", {"time": "1s"}, {}),
    ("osdk_metric", {"name": "x"}, {}),
    ("debug", {"msg": "kubectl"}, {}),
    ("command", {"cmd": "ls"}, {}),
]


@pytest.mark.parametrize(("module", "args", "rights"), ROWS, ids=[f"{module} {args}" for module, args, _ in ROWS])
def test_a_task_needs_what_its_module_asks_for(
    workplace: Workplace, module: str, args: dict[str, Any], rights: dict[str, set[str]]
) -> None:
    assert workplace.rights_of_tasks([{module: args}]) == rights


REPORTS: list[tuple[str, dict[str, Any], str]] = [
    (
        "k8s",
        {"kind": "{{ k }}"},
        "k8s: found kind '{{ k }}', expected one that is known without a run; add by hand what",
    ),
    (
        "k8s_info",
        {"kind": "Pod", "impersonate_user": "x"},
        "k8s_info: impersonates a user; add the right to impersonate by hand",
    ),
    ("k8s_rollback", {"kind": "Pod"}, "k8s_rollback: found kind 'Pod', expected Deployment or DaemonSet"),
    (
        "kubernetes.core.helm",
        {"name": "x"},
        "helm: a release may hold objects of any kind, and is itself kept in Secrets",
    ),
    ("ansible.builtin.command", {"cmd": "/bin/kubectl get pods"}, "runs kubectl: add by hand what that needs"),
    ("shell", {"cmd": "set -e; oc whoami"}, "runs oc: add by hand"),
    (
        "k8s",
        {"api_version": "rbac.authorization.k8s.io/v1", "kind": "Role", "name": "{{ n }}"},
        "makes a Role: the API server refuses it unless the operator has each right in it itself",
    ),
    ("k8s", {"definition": {"apiVersion": "v1", "kind": "Secret"}}, "makes a Secret, whose changes and deletion"),
    ("k8s_info", {"api_version": "x.org/v1", "kind": "Widget"}, "Widget of x.org/v1 is not known: widgets, namespaced"),
]


@pytest.mark.parametrize(("module", "args", "message"), REPORTS, ids=[message for _, _, message in REPORTS])
def test_what_is_to_be_added_by_hand_is_reported_with_file_and_task(
    workplace: Workplace, module: str, args: dict[str, Any], message: str
) -> None:
    workplace.rights_of_tasks([{"name": "Do it", module: args}])
    [line] = workplace.unknowns.lines
    assert line.startswith(f"roles/it/tasks/main.yml: task 'Do it': {message}")


def test_free_form_commands_are_looked_at(workplace: Workplace) -> None:
    workplace.rights_of_tasks([{"shell": "cat x | kubectl apply -f -"}])
    [line] = workplace.unknowns.lines
    assert line == "roles/it/tasks/main.yml: task 1: runs kubectl: add by hand what that needs"
