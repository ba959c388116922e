"""What is written to an object's status, and what it says of the last run."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

from reconcile_runner.apimachinery.conditions import ConditionType, Truth, conditions_of, find
from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.execution.job import RunStats

StatusUpdate: TypeAlias = Callable[[KubeObject, datetime], dict[str, Any]]
"""A function from the live object and the time to the fields of ``status`` that must change; empty where none must."""


class LastResult(enum.StrEnum):
    """How an object's last run ended, according to its conditions."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


def last_result(obj: KubeObject) -> LastResult:
    """Return how the last run ended.

    While a run is under way, the conditions tell how the one before ended.
    """
    conditions = conditions_of(obj)
    failure, successful = find(conditions, ConditionType.FAILURE), find(conditions, ConditionType.SUCCESSFUL)
    if failure is not None and failure.get("status") == Truth.TRUE:
        return LastResult.FAILED
    if successful is not None and (successful.get("status") == Truth.TRUE or successful.get("reason") == "Successful"):
        return LastResult.SUCCEEDED
    return LastResult.UNKNOWN


def timestamp(now: datetime) -> str:
    """Return a time in the form of ``lastTransitionTime``: RFC 3339, whole seconds."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


def ansible_result(stats: RunStats | None, now: datetime) -> dict[str, Any]:
    """Return the ``ansibleResult`` of a condition, in upstream's form."""
    counts = stats or RunStats()
    return {
        "ok": counts.ok,
        "changed": counts.changed,
        "skipped": counts.skipped,
        "failures": counts.failures,
        "completion": now.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00"),
    }
