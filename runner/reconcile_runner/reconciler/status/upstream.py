"""Conditions as ansible-operator writes them (``upstreamStatus: true``).

There are two writes a run, ``Running`` before and the result after it, without ``Ready`` and ``observedGeneration``.
Source: ``markRunning``, ``markDone``, ``markError`` and ``SetCondition`` of ansible-operator-plugins 1.42
(``internal/ansible/controller``). One difference: there, conditions of others lose fields that upstream's do not have.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from reconcile_runner.apimachinery.conditions import Condition, ConditionType, Truth, conditions_of, find
from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.execution import failuretext
from reconcile_runner.execution.job import RunResult
from reconcile_runner.reconciler.status.types import StatusUpdate, ansible_result, timestamp


def running(run_generation: int, *, is_judged: bool = False) -> StatusUpdate:
    """Return the update before a run."""
    del run_generation, is_judged

    def update(obj: KubeObject, now: datetime) -> dict[str, Any]:
        conditions = conditions_of(obj)
        conditions = _turned_off(conditions, ConditionType.SUCCESSFUL, now)
        under_way = _condition(ConditionType.RUNNING, Truth.TRUE, "Running", "Running reconciliation", now)
        return _changes(obj, _set(conditions, under_way))

    return update


def succeeded(run_generation: int, result: RunResult) -> StatusUpdate:
    """Return the update after a run that succeeded."""
    del run_generation

    def update(obj: KubeObject, now: datetime) -> dict[str, Any]:
        awaiting = _condition(ConditionType.RUNNING, Truth.TRUE, "Successful", "Awaiting next reconciliation", now)
        awaiting["ansibleResult"] = ansible_result(result.stats, now)
        success = _condition(ConditionType.SUCCESSFUL, Truth.TRUE, "Successful", "Last reconciliation succeeded", now)
        conditions = conditions_of(obj)
        for condition in (awaiting, success, _condition(ConditionType.FAILURE, Truth.FALSE, "", "", now)):
            conditions = _set(conditions, condition)
        return _changes(obj, conditions)

    return update


def failed(
    run_generation: int, message: str, result: RunResult | None = None, *, is_final: bool = False
) -> StatusUpdate:
    """Return the update after a run that failed, or could not start.

    ``result`` is None where nothing was run.
    """
    del run_generation, is_final
    if result is None:
        return _not_started(message)
    text = failuretext.of_failures(failure.message for failure in result.failures) or message

    def update(obj: KubeObject, now: datetime) -> dict[str, Any]:
        conditions = _turned_off(conditions_of(obj), ConditionType.RUNNING, now)
        failure = _condition(ConditionType.FAILURE, Truth.TRUE, "Failed", text, now)
        failure["ansibleResult"] = ansible_result(result.stats, now)
        conditions = _set(conditions, failure)
        return _changes(obj, _set(conditions, _condition(ConditionType.SUCCESSFUL, Truth.FALSE, "", "", now)))

    return update


def _not_started(message: str) -> StatusUpdate:
    def update(obj: KubeObject, now: datetime) -> dict[str, Any]:
        conditions = conditions_of(obj)
        for wanted in (ConditionType.RUNNING, ConditionType.SUCCESSFUL):
            conditions = _turned_off(conditions, wanted, now)
        return _changes(obj, _set(conditions, _condition(ConditionType.FAILURE, Truth.TRUE, "Failed", message, now)))

    return update


def _condition(wanted: ConditionType, status: Truth, reason: str, message: str, now: datetime) -> Condition:
    return {
        "type": str(wanted),
        "status": str(status),
        "lastTransitionTime": timestamp(now),
        "reason": reason,
        "message": message,
    }


def _turned_off(conditions: list[Condition], wanted: ConditionType, now: datetime) -> list[Condition]:
    """Return the conditions with one of them false.

    Its reason and message stay; where it is absent, nothing changes.
    """
    current = find(conditions, wanted)
    if current is None:
        return conditions
    return _set(conditions, {**current, "status": str(Truth.FALSE), "lastTransitionTime": timestamp(now)})


def _set(conditions: list[Condition], condition: Condition) -> list[Condition]:
    """Return the conditions with one at the end, instead of the one of its type.

    Where status and reason are the same, the old one stays, with the message and result of an older run; ``Failure``
    is always replaced.
    """
    current = find(conditions, ConditionType(condition["type"]))
    if current is not None and current.get("status") == condition["status"]:
        if condition["type"] != ConditionType.FAILURE and (current.get("reason") or "") == condition["reason"]:
            return conditions
        condition = {**condition, "lastTransitionTime": current.get("lastTransitionTime")}
    return [*(kept for kept in conditions if kept is not current), condition]


def _changes(obj: KubeObject, conditions: list[Condition]) -> dict[str, Any]:
    """Return the conditions where they differ.

    Another order alone is no difference.
    """
    before = conditions_of(obj)
    same = len(conditions) == len(before) and all(condition in before for condition in conditions)
    return {} if same else {"conditions": conditions}
