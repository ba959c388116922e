"""The project's own conditions: a run's result in an object's ``status``.

Types, reasons and messages of ``Running``, ``Successful`` and ``Failure`` are upstream's (ansible-operator-plugins,
``internal/ansible/controller/status``); ``Ready`` and ``observedGeneration`` are this project's. A write that upstream
makes and that would say nothing new is left out; ``upstream`` makes all of them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.execution.job import RunResult
from reconcile_runner.reconciler.status.types import (
    Condition,
    ConditionType,
    StatusUpdate,
    Truth,
    ansible_result,
    conditions_of,
    find,
    timestamp,
)


class ReadyReason(enum.StrEnum):
    """Why ``Ready`` is as it is.

    A ``Ready`` with any other reason was written by a role, and stays.
    """

    SUCCEEDED = "ReconcileSucceeded"
    FAILED = "ReconcileFailed"
    RECONCILING = "Reconciling"


@dataclass(frozen=True, slots=True)
class _Target:
    """A condition as it should be, whether or not that is a change."""

    type: ConditionType
    status: Truth
    reason: str = ""
    message: str = ""
    ansible_result: dict[str, Any] | None = None
    observed_generation: int | None = None


def running(run_generation: int) -> StatusUpdate:
    """Return the update while a run is under way.

    ``Ready`` becomes ``Unknown`` only where it is about an older generation: a periodic run must leave it.
    """

    def update(obj: KubeObject, now: datetime) -> dict[str, Any]:
        targets = [_Target(ConditionType.RUNNING, Truth.TRUE, "Running", "Running reconciliation")]
        successful = find(conditions_of(obj), ConditionType.SUCCESSFUL)
        if successful is not None:
            kept = {name: str(successful.get(name, "")) for name in ("reason", "message")}
            targets.append(_Target(ConditionType.SUCCESSFUL, Truth.FALSE, kept["reason"], kept["message"]))
        ready = find(conditions_of(obj), ConditionType.READY)
        if ready is None or ready.get("observedGeneration") != run_generation:
            targets.append(
                _Target(
                    ConditionType.READY,
                    Truth.UNKNOWN,
                    ReadyReason.RECONCILING,
                    "A run for this generation is under way",
                    observed_generation=run_generation,
                )
            )
        return _changes(obj, targets, now, observed_generation=None)

    return update


def succeeded(run_generation: int, result: RunResult) -> StatusUpdate:
    """Return the update after a run that succeeded."""

    def update(obj: KubeObject, now: datetime) -> dict[str, Any]:
        targets = [
            _Target(
                ConditionType.RUNNING,
                Truth.TRUE,
                "Successful",
                "Awaiting next reconciliation",
                ansible_result=ansible_result(result.stats, now),
            ),
            _Target(ConditionType.SUCCESSFUL, Truth.TRUE, "Successful", "Last reconciliation succeeded"),
            _Target(ConditionType.FAILURE, Truth.FALSE),
            _Target(
                ConditionType.READY,
                Truth.TRUE,
                ReadyReason.SUCCEEDED,
                "The last run succeeded",
                observed_generation=run_generation,
            ),
        ]
        return _changes(obj, targets, now, observed_generation=run_generation)

    return update


def failed(run_generation: int, message: str, result: RunResult | None = None) -> StatusUpdate:
    """Return the update after a run that failed, or could not start.

    ``message`` says why, for people.
    """
    stats = result.stats if result is not None else None

    def update(obj: KubeObject, now: datetime) -> dict[str, Any]:
        was_running = find(conditions_of(obj), ConditionType.RUNNING) or {}
        targets = [
            _Target(
                ConditionType.RUNNING,
                Truth.FALSE,
                str(was_running.get("reason", "Running")),
                str(was_running.get("message", "Running reconciliation")),
            ),
            _Target(ConditionType.SUCCESSFUL, Truth.FALSE),
            _Target(
                ConditionType.FAILURE,
                Truth.TRUE,
                "Failed",
                message,
                ansible_result=ansible_result(stats, now) if stats is not None else None,
            ),
            _Target(
                ConditionType.READY,
                Truth.FALSE,
                ReadyReason.FAILED,
                message,
                observed_generation=run_generation,
            ),
        ]
        return _changes(obj, targets, now, observed_generation=run_generation)

    return update


def _changes(
    obj: KubeObject, targets: list[_Target], now: datetime, *, observed_generation: int | None
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    conditions = conditions_of(obj)
    merged = _merged(conditions, targets, now)
    if merged != conditions:
        changes["conditions"] = merged
    status = obj.get("status")
    written = status.get("observedGeneration") if isinstance(status, dict) else None
    if observed_generation and written != observed_generation:
        changes["observedGeneration"] = observed_generation
    return changes


def _merged(conditions: list[Condition], targets: list[_Target], now: datetime) -> list[Condition]:
    """Return the conditions with the targets in their places.

    Other conditions keep their places and fields.
    """
    merged = list(conditions)
    for target in targets:
        current = find(merged, target.type)
        if current is None:
            merged.append(_rendered(target, None, now))
        elif not _is_settled(current, target):
            merged[merged.index(current)] = _rendered(target, current, now)
    return merged


def _is_settled(current: Condition, target: _Target) -> bool:
    """Tell whether a condition equals its target.

    A new ``ansibleResult`` alone is no reason to write.
    """
    if target.type is ConditionType.READY and current.get("reason") not in set(ReadyReason):
        return True
    return (
        current.get("status") == target.status
        and (current.get("reason") or "") == target.reason
        and (current.get("message") or "") == target.message
        and (target.observed_generation is None or current.get("observedGeneration") == target.observed_generation)
    )


def _rendered(target: _Target, current: Condition | None, now: datetime) -> Condition:
    kept_since = current.get("lastTransitionTime") if current and current.get("status") == target.status else None
    condition: Condition = {
        "type": str(target.type),
        "status": str(target.status),
        "lastTransitionTime": kept_since or timestamp(now),
        "reason": target.reason,
        "message": target.message,
    }
    if target.ansible_result is not None:
        condition["ansibleResult"] = target.ansible_result
    if target.observed_generation is not None:
        condition["observedGeneration"] = target.observed_generation
    return condition
