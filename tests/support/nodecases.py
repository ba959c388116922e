"""A task for every option of kubernetes.core's modules that talk to a node, and what each task has to show.

The tasks are plain data with templates in them. A test says what ``ns``, ``world``, ``node``, ``yard`` and ``ca`` are,
and which ``kubeconfig`` counts: empty for that of the environment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Options: TypeAlias = dict[str, Any]
Task: TypeAlias = dict[str, Any]

COLLECTION: Final = "kubernetes.core"
NODE_MODULES: Final = ("k8s_exec", "k8s_log", "k8s_cp", "k8s_drain", "k8s_taint")
OTHER_MODULES: Final = (
    *("helm", "helm_info", "helm_plugin", "helm_plugin_info", "helm_pull", "helm_registry_auth", "helm_repository"),
    *("helm_template", "k8s", "k8s_cluster_info", "k8s_info", "k8s_json_patch", "k8s_rollback", "k8s_scale"),
    *("k8s_service", "kubeconfig"),
)
"""What the API server alone answers, or nobody."""


@dataclass(frozen=True)
class Seen:
    """A task after a case, and the template that tells what it found."""

    module: str
    options: Options
    tells: str


@dataclass(frozen=True)
class Case:
    """A task.

    Attributes:
        name: Also of the variable that takes its result.
        module: Of kubernetes.core.
        options: As in the task.
        shows: A text that the result, as JSON, has to have: that the option was effective.
        fails: Whether the module fails.
        then: What else to look at.

    """

    name: str
    module: str
    options: Options
    shows: str
    fails: bool = False
    then: Seen | None = None
    used: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Note the options that it uses, those of a dictionary as ``outer.inner``."""
        object.__setattr__(self, "used", frozenset(names_of(self.options)))


def names_of(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of options, and of those inside."""
    for name, value in options.items():
        yield name
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                yield from (f"{name}.{one}" for one in inner)


def documented(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names of options in a module's documentation, and of those inside."""
    for name, option in options.items():
        yield name
        yield from (f"{name}.{inner}" for inner in option.get("suboptions") or {})


POD: Final = {"namespace": "{{ ns }}", "pod": "alone"}
LOG: Final = {"namespace": "{{ ns }}", "name": "alone"}


def _shell(script: str) -> str:
    return f"sh -c {json.dumps(script)}"


def _files(path: str) -> Seen:
    """Look at what is in a container: each file with its rights and its bytes."""
    script = f"for f in {path} {path}/* {path}/*/*; do if test -e $f; then stat -c '%n %a %s' $f; fi; done"
    return Seen("k8s_exec", {**POD, "command": _shell(script)}, "stdout")


EXEC: Final = (
    Case("exec", "k8s_exec", {**POD, "command": _shell("echo out; echo err >&2; exit 3")}, '"rc": 3', fails=True),
    Case("exec_container", "k8s_exec", {"namespace": "{{ ns }}", "pod": "pair", "container": "second",
                                        "command": _shell("echo I am $WHO")}, "I am second"),
)  # fmt: skip

LOGS: Final = (
    Case("log", "k8s_log", LOG, '["one", "two", "three", ""]'),
    Case("log_of_kind", "k8s_log", {**LOG, "api_version": "apps/v1", "kind": "Deployment", "name": "deployed"},
         "of a deployment"),
    Case("log_by_labels", "k8s_log", {"namespace": "{{ ns }}", "label_selectors": ["app=alone", "of={{ world }}"]},
         '["one", "two", "three", ""]'),
    Case("log_container", "k8s_log", {**LOG, "name": "pair", "container": "second"}, '["log of second", ""]'),
    Case("log_all", "k8s_log", {**LOG, "name": "pair", "all_containers": True},
         '["log of first", "log of second", ""]'),
    Case("log_since", "k8s_log", {**LOG, "since_seconds": "1"}, '"log_lines": [""]'),
    Case("log_previous", "k8s_log", {**LOG, "name": "again", "previous": True}, '["the first time", ""]'),
    Case("log_tail", "k8s_log", {**LOG, "tail_lines": 1}, '["three", ""]'),
)  # fmt: skip

COPIES: Final = (
    Case("file_to_pod", "k8s_cp", {**POD, "local_path": "{{ yard }}/file", "remote_path": "/tmp/file",
                                   "copy_timeout": 100}, "/tmp/file 666 400000", then=_files("/tmp/file")),
    Case("file_from_pod", "k8s_cp", {**POD, "local_path": "{{ yard }}/file-back", "remote_path": "/tmp/file",
                                     "state": "from_pod"}, "file-back"),
    Case("directory_to_pod", "k8s_cp", {**POD, "local_path": "{{ yard }}/tree", "remote_path": "/tmp/tree"},
         "/tmp/tree/below/leaf 640 6", then=_files("/tmp/tree")),
    Case("directory_from_pod", "k8s_cp", {**POD, "local_path": "{{ yard }}/tree-back", "remote_path": "/tmp/tree",
                                          "state": "from_pod"}, "tree-back"),
    Case("file_into_directory", "k8s_cp", {**POD, "local_path": "{{ yard }}/file", "remote_path": "/tmp/tree",
                                           "state": "to_pod"}, "/tmp/tree/file 666 400000", then=_files("/tmp/tree")),
    Case("not_preserved", "k8s_cp", {**POD, "local_path": "{{ yard }}/tree", "remote_path": "/tmp/other",
                                     "no_preserve": True}, "/tmp/other/below 755", then=_files("/tmp/other")),
    Case("content", "k8s_cp", {**POD, "container": "main", "remote_path": "/tmp/content", "content": "as it is"},
         "/tmp/content 600 8", then=_files("/tmp/content")),
    Case("copy_of_nothing", "k8s_cp", {**POD, "local_path": "{{ yard }}/none", "remote_path": "/tmp/none",
                                       "state": "from_pod"}, "does not exist in remote pod", fails=True),
)  # fmt: skip

TAINT: Final = {"key": "options.test/one", "value": "a", "effect": "PreferNoSchedule"}
OTHER_TAINT: Final = {"key": "options.test/two", "effect": "PreferNoSchedule"}
_NODE: Final = {"api_version": "v1", "kind": "Node", "name": "{{ node }}"}
_TAINTS: Final = Seen("k8s_info", _NODE, "resources[0].spec.taints | default([])")


def _taint(name: str, shows: str, **options: Any) -> Case:
    return Case(name, "k8s_taint", {"name": "{{ node }}", **options}, shows, then=_TAINTS)


TAINTS: Final = (
    _taint("taint", '"options.test/one"', taints=[TAINT]),
    _taint("taint_again", '"changed": false', taints=[TAINT]),
    _taint("taint_replaced", '"seen": [{"effect": "PreferNoSchedule", "key": "options.test/two"}]',
           state="present", taints=[OTHER_TAINT], replace=True),
    _taint("taint_removed", '"seen": []', state="absent", taints=[OTHER_TAINT]),
)  # fmt: skip

WAITS: Final = {"wait_timeout": 60, "wait_sleep": 1}
STUBBORN: Final = "stubborn"
"""Does not end when it is asked to."""


def _drain(name: str, shows: str, options: Options, fails: bool = False, alias: bool = False) -> Case:
    """Return a task that drains the node of Pods which have the task's name as their label."""
    selectors = [f"drained={name}", "of={{ world }}"]
    found = Seen(
        "k8s_info",
        {"api_version": "v1", "kind": "Pod", "namespace": "{{ ns }}", "label_selectors": selectors},
        "resources | map(attribute='metadata.deletionGracePeriodSeconds', default='stays') | list",
    )
    given = {"name": "{{ node }}", "label_selectors" if alias else "pod_selectors": selectors}
    return Case(name, "k8s_drain", {**given, "delete_options": options}, shows, fails, found)


def _cordon(name: str, state: str, shows: str) -> Case:
    found = Seen("k8s_info", _NODE, "resources[0].spec.unschedulable | default(false)")
    return Case(name, "k8s_drain", {"name": "{{ node }}", "state": state}, shows, then=found)


DRAINS: Final = (
    _cordon("cordon", "cordon", '"seen": true'),
    _cordon("cordon-again", "cordon", "already marked unschedulable"),
    _cordon("uncordon", "uncordon", '"seen": false'),
    _drain("not-forced", "cannot delete Pods not managed", {}, fails=True),
    _drain("forced", '"seen": []', {"force": True, **WAITS}),
    _drain(STUBBORN, '"seen": [50]', {"force": True, "terminate_grace_period": 50}),
    _drain("waited-for", "1 Pod(s) deleted from node", {"force": True, **WAITS}, alias=True),
    _drain("has-data", "cannot delete Pods with local storage", {}, fails=True),
    _drain("data-goes", '"seen": []', {"delete_emptydir_data": True, **WAITS}),
    _drain("of-daemonset", "cannot delete DaemonSet-managed Pods", {}, fails=True),
    _drain("of-daemonset-left", '"seen": ["stays"]', {"ignore_daemonsets": True}),
    _drain("has-budget", "disruption budget", {"force": True}, fails=True),
    _drain("not-evicted", '"seen": []', {"force": True, "disable_eviction": True, **WAITS}),
    Case("schedulable", "k8s_drain", {"name": "{{ node }}", "state": "uncordon"}, "marked schedulable"),
)  # fmt: skip


def _reached(name: str, shows: str = "reached", fails: bool = False, **options: Any) -> Case:
    return Case(name, "k8s_exec", {**POD, "command": "echo reached", **options}, shows, fails)


_FILE: Final = "(kubeconfig or lookup('ansible.builtin.env', 'K8S_AUTH_KUBECONFIG'))"
_CONFIG: Final = f"(lookup('ansible.builtin.file', {_FILE}) | from_yaml)"
_HOST: Final = f"{{{{ {_CONFIG}.clusters[0].cluster.server }}}}"
_NAME: Final = f"{{{{ {_CONFIG}.clusters[0].cluster.server | urlsplit('hostname') }}}}"
_TOKEN: Final = f"{{{{ {_CONFIG}.users[0].user.token }}}}"
_CONTEXT: Final = f"{{{{ {_CONFIG}['current-context'] }}}}"
NOBODY: Final = "http://127.0.0.1:9"
"""No HTTP proxy is there."""

CONNECTIONS: Final = (
    _reached("by_kubeconfig", kubeconfig=f"{{{{ {_FILE} }}}}", context=_CONTEXT),
    _reached("by_host", host=_HOST, api_key=_TOKEN, validate_certs=True, ca_cert="{{ ca }}"),
    _reached("by_host_unchecked", host=_HOST, api_key=_TOKEN, validate_certs=False, persist_config=False),
    _reached("by_no_proxy", proxy=NOBODY, no_proxy=_NAME, proxy_headers={"user_agent": "options"}),
    # By k8s_log, since k8s_exec takes these options and does not send them, with a proxy or without.
    Case("as_nobody", "k8s_log", {**LOG, "impersonate_user": "options.test"}, "cannot get resource", fails=True),
    Case("as_master", "k8s_log", {**LOG, "impersonate_user": "options.test", "impersonate_groups": ["system:masters"]},
         '["one", "two", "three", ""]'),
)  # fmt: skip

NOT_OURS: Final = {
    "username": "basic authentication, which no API server has",
    "password": "basic authentication, which no API server has",
    "client_cert": "the TLS of the API server; a run reaches the operator without TLS, and by its token",
    "client_key": "the TLS of the API server; a run reaches the operator without TLS, and by its token",
    "proxy_headers.proxy_basic_auth": "what an HTTP proxy is told; none is between a run and the operator",
    "proxy_headers.basic_auth": "what an HTTP proxy is told; none is between a run and the operator",
}
"""Options without a case, and what they are about."""

CASES: Final = (*EXEC, *LOGS, *COPIES, *CONNECTIONS, *TAINTS, *DRAINS)


def block() -> Task:
    """Return all cases as one task, which writes what each gave into ``{{ yard }}/told.json``."""
    environment = "{{ {'K8S_AUTH_KUBECONFIG': kubeconfig} if kubeconfig else {} }}"
    return {"name": "Use every option", "environment": environment, "block": list(_tasks())}


def _tasks() -> Iterator[Task]:
    told = {}
    for case in CASES:
        done, after = f"done_{_variable(case)}", f"after_{_variable(case)}"
        yield {"name": case.name, **_call(case.module, case.options, done), "ignore_errors": True}
        told[case.name] = {"result": f"{{{{ {done} }}}}"}
        if case.then is not None:
            yield {"name": f"After {case.name}", **_call(case.then.module, case.then.options, after)}
            told[case.name]["seen"] = f"{{{{ {after}.{case.then.tells} }}}}"
    copy = {"content": "{{ told | to_json }}", "dest": "{{ yard }}/told.json", "mode": "0600"}
    yield {"name": "Tell", "ansible.builtin.copy": copy, "vars": {"told": told}}


def _call(module: str, options: Options, register: str) -> Task:
    return {f"{COLLECTION}.{module}": options, "register": register}


def _variable(case: Case) -> str:
    return case.name.replace("-", "_")
