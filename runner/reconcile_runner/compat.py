"""The names that users, roles and dashboards of upstream's operator rely on.

Lowest layer. A change here is a change of a contract: it needs an entry in CHANGELOG.md.
"""

from __future__ import annotations

from typing import Final

ANNOTATION_PREFIX: Final = "ansible.sdk.operatorframework.io"
ANNOTATION_RECONCILE_PERIOD: Final = f"{ANNOTATION_PREFIX}/reconcile-period"
ANNOTATION_MAX_RUNNER_ARTIFACTS: Final = f"{ANNOTATION_PREFIX}/max-runner-artifacts"
ANNOTATION_VERBOSITY: Final = f"{ANNOTATION_PREFIX}/verbosity"

DEAD_ANNOTATION_PREFIX: Final = "ansible.operator-sdk/"
"""What upstream's annotations began with once; some documentation still says so. Nobody reads them."""

OWN_ANNOTATION_PREFIX: Final = "reconcile-runner"
ANNOTATION_RECONCILE_NOW: Final = f"{OWN_ANNOTATION_PREFIX}/reconcile-now"
"""A new value of it starts a run."""
ANNOTATION_PAUSED: Final = f"{OWN_ANNOTATION_PREFIX}/paused"
"""Any value but ``false``: nothing is run for the object."""

ANNOTATION_PRIMARY_RESOURCE: Final = "operator-sdk/primary-resource"
"""On an object that cannot refer to its owner: the owner's ``namespace/name``."""
ANNOTATION_PRIMARY_RESOURCE_TYPE: Final = "operator-sdk/primary-resource-type"
"""On such an object: the owner's ``Kind.group``; ``Kind`` for the core group."""

META_VARIABLE: Final = "ansible_operator_meta"
"""The extra var that holds ``name`` and ``namespace`` of the reconciled object."""

ENV_WATCH_NAMESPACE: Final = "WATCH_NAMESPACE"
ENV_MAX_CONCURRENT_RECONCILES: Final = "MAX_CONCURRENT_RECONCILES_"
ENV_WORKERS_DEPRECATED: Final = "WORKER_"
ENV_VERBOSITY: Final = "ANSIBLE_VERBOSITY_"
ENV_GATHERING: Final = "ANSIBLE_GATHERING"
ENV_ROLES_PATH: Final = "ANSIBLE_ROLES_PATH"
ENV_COLLECTIONS_PATH: Final = "ANSIBLE_COLLECTIONS_PATH"
ENV_OPERATOR_NAME: Final = "OPERATOR_NAME"
"""The deprecated way to name the Lease."""
ENV_COMMIT: Final = "RUNNER_COMMIT"
"""The commit that an image was built from; ours, not upstream's."""

ENV_ANSIBLE_PLAYBOOK: Final = "RECONCILE_RUNNER_ANSIBLE_PLAYBOOK"
"""The ``ansible-playbook`` that runs use, where the flag is not given; ours, not upstream's."""
ENV_USER_METRICS_URL: Final = "RECONCILE_RUNNER_METRICS_URL"
"""Tells the module ``osdk_metric`` of a run where to send metrics; ours, not upstream's."""
ENV_DEBUG_LOGS: Final = "ANSIBLE_DEBUG_LOGS"
ENV_ALL_VERBOSITY: Final = "ANSIBLE_VERBOSITY"

REQUEUE_AFTER_ACTIONS: Final = frozenset(
    {"operator_sdk.util.requeue_after", "requeue_after", "reconcile_runner.util.requeue_after"}
)
"""Task actions whose result ``period`` asks for another run: upstream's two, and this project's own."""

STATUS_ACTIONS: Final = frozenset({"operator_sdk.util.k8s_status", "k8s_status", "reconcile_runner.util.k8s_status"})
"""Task actions that write a status: upstream's two, and this project's own."""

DROPPED_VARIABLE_PREFIXES: Final = ("ansible_", "_ansible_")
"""Fields of a spec that would be variables with these prefixes steer Ansible: connection, interpreter, privileges."""

DROPPED_VARIABLES: Final = frozenset(
    {
        # ansible-core: constants.INTERNAL_STATIC_VARS and what vars/manager.py sets for each task.
        "_task",
        "group_names",
        "groups",
        "hostvars",
        "inventory_dir",
        "inventory_file",
        "inventory_hostname",
        "inventory_hostname_short",
        "play_hosts",
        "playbook_dir",
        "role_name",
        "role_names",
        "role_path",
        "role_uuid",
        # Jinja: defaults.DEFAULT_NAMESPACE; ansible-core: the globals that its TemplateEngine adds. A variable of such
        # a name hides the function, and roles that call it fail.
        "cycler",
        "dict",
        "joiner",
        "lipsum",
        "lookup",
        "now",
        "omit",
        "q",
        "query",
        "range",
        "undef",
    }
)
"""Fields of a spec that are no variables. Jinja's ``namespace`` is not among them: too good a name for a field."""


def env_suffix(kind: str, group: str) -> str:
    """Return ``KIND_GROUP``, the end of upstream's variables for one kind.

    Upper case, dots as underscores, hyphens kept.

    The core group leaves a trailing underscore (``POD_``).
    """
    return f"{kind}_{group}".upper().replace(".", "_")


def is_dropped_variable(name: str) -> bool:
    """Tell whether a field of a spec must not become a variable of this name."""
    return name in DROPPED_VARIABLES or name.startswith(DROPPED_VARIABLE_PREFIXES)
