"""Conditions of objects: how they are read, and which of them the operator writes.

They are read with care: anyone may have written anything there.
"""

from __future__ import annotations

import enum
from typing import Any, Final, TypeAlias

from reconcile_runner.apimachinery.objects import KubeObject

Condition: TypeAlias = dict[str, Any]


class ConditionType(enum.StrEnum):
    """The types of conditions that the operator writes."""

    RUNNING = "Running"
    SUCCESSFUL = "Successful"
    FAILURE = "Failure"
    READY = "Ready"
    STALLED = "Stalled"


class Truth(enum.StrEnum):
    """A condition's status."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ReadyReason(enum.StrEnum):
    """Why ``Ready`` is as it is."""

    SUCCEEDED = "ReconcileSucceeded"
    FAILED = "ReconcileFailed"
    RECONCILING = "Reconciling"


class StalledReason(enum.StrEnum):
    """Why ``Stalled`` is true."""

    WAITING_FOR_CHANGE = "WaitingForChange"


_REASONS: Final[dict[str, frozenset[str]]] = {
    ConditionType.READY: frozenset(ReadyReason),
    ConditionType.STALLED: frozenset(StalledReason),
}
"""Types that others write, too, and the reasons by which the operator's own are known."""


def conditions_of(obj: KubeObject) -> list[Condition]:
    """Return the object's conditions, without entries that are malformed."""
    status = obj.get("status")
    conditions = status.get("conditions") if isinstance(status, dict) else None
    return [c for c in conditions if isinstance(c, dict)] if isinstance(conditions, list) else []


def find(conditions: list[Condition], wanted: ConditionType) -> Condition | None:
    """Return the condition of a type, or None."""
    return next((condition for condition in conditions if condition.get("type") == wanted), None)


def is_own(condition: Condition, conditions: list[Condition]) -> bool:
    """Tell whether the operator wrote one of an object's conditions.

    Where the kind's schema keeps no reasons, a type that others may write counts as the operator's. ``Running`` shows
    that: it never lacks a reason otherwise.
    """
    kind, reason = condition.get("type"), condition.get("reason")
    if not isinstance(kind, str) or kind not in set(ConditionType):
        return False
    reasons = _REASONS.get(kind)
    if reasons is None:
        return True
    if reason:
        return isinstance(reason, str) and reason in reasons
    running = find(conditions, ConditionType.RUNNING)
    return running is not None and not running.get("reason")


def without_own(conditions: list[Condition]) -> list[Condition]:
    """Return the conditions that others wrote."""
    return [condition for condition in conditions if not is_own(condition, conditions)]
