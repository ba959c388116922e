"""Every name that users, roles and dashboards of upstream's operator rely on, in one table.

Lowest layer. A change here is a change of a contract: it needs an entry in CHANGELOG.md.
"""

from __future__ import annotations

from typing import Final

ANNOTATION_PREFIX: Final = "ansible.sdk.operatorframework.io"
ANNOTATION_RECONCILE_PERIOD: Final = f"{ANNOTATION_PREFIX}/reconcile-period"
ANNOTATION_MAX_RUNNER_ARTIFACTS: Final = f"{ANNOTATION_PREFIX}/max-runner-artifacts"
ANNOTATION_VERBOSITY: Final = f"{ANNOTATION_PREFIX}/verbosity"

META_VARIABLE: Final = "ansible_operator_meta"
"""The extra var that holds ``name`` and ``namespace`` of the reconciled object."""

ENV_WATCH_NAMESPACE: Final = "WATCH_NAMESPACE"
ENV_MAX_CONCURRENT_RECONCILES: Final = "MAX_CONCURRENT_RECONCILES_"
ENV_WORKERS_DEPRECATED: Final = "WORKER_"
ENV_VERBOSITY: Final = "ANSIBLE_VERBOSITY_"

REQUEUE_AFTER_ACTIONS: Final = frozenset({"operator_sdk.util.requeue_after", "requeue_after"})


def env_suffix(kind: str, group: str) -> str:
    """Return ``KIND_GROUP`` as upstream's per-kind variables end: upper case, dots as underscores, hyphens kept.

    The core group leaves a trailing underscore (``POD_``).
    """
    return f"{kind}_{group}".upper().replace(".", "_")
