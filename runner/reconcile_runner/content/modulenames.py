"""The modules whose tasks say something without being run, each by one short name."""

from __future__ import annotations

from typing import Final

_KUBERNETES: Final = ("kubernetes.core.", "community.kubernetes.", "community.okd.", "redhat.openshift.")
_OPERATOR: Final = ("reconcile_runner.util.", "operator_sdk.util.")
_BUILTIN: Final = ("ansible.builtin.", "ansible.legacy.")

_MODULES: Final = {
    _KUBERNETES: frozenset(
        {
            "helm",
            "helm_info",
            "k8s",
            "k8s_cluster_info",
            "k8s_cp",
            "k8s_drain",
            "k8s_exec",
            "k8s_info",
            "k8s_json_patch",
            "k8s_log",
            "k8s_rollback",
            "k8s_scale",
            "k8s_service",
            "k8s_taint",
        }
    ),
    _OPERATOR: frozenset({"k8s_status", "k8s_event"}),
    _BUILTIN: frozenset(
        {
            "command",
            "import_role",
            "import_tasks",
            "include",
            "include_role",
            "include_tasks",
            "raw",
            "script",
            "set_fact",
            "shell",
        }
    ),
}
_KNOWN: Final = {
    f"{prefix}{name}": name for prefixes, names in _MODULES.items() for prefix in ("", *prefixes) for name in names
}


def canonical(name: str) -> str:
    """Return a module's short name; empty for one that is of no interest."""
    return _KNOWN.get(name, "")
