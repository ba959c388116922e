"""The project's own conditions: a run's result in an object's ``status``.

Types, reasons and messages of ``Running``, ``Successful`` and ``Failure`` are upstream's (ansible-operator-plugins,
``internal/ansible/controller/status``), but for reasons that are empty there: ``metav1.Condition`` allows none.
``Ready``, ``Stalled`` and ``observedGeneration`` are this project's. A write that upstream makes and that would say
nothing new is left out; ``upstream`` makes all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from reconcile_runner.apimachinery.conditions import (
    Condition,
    ConditionType,
    ReadyReason,
    StalledReason,
    Truth,
    conditions_of,
    find,
    is_own,
)
from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.execution.job import RunResult
from reconcile_runner.reconciler.status.types import StatusUpdate, ansible_result, timestamp

MESSAGE_LIMIT: Final = 32768
"""Characters of a message (``metav1.Condition``'s limit)."""


@dataclass(frozen=True, slots=True)
class _Target:
    """A condition as it should be, whether or not that is a change."""

    type: ConditionType
    status: Truth
    reason: str
    message: str = ""
    ansible_result: dict[str, Any] | None = None
    observed_generation: int | None = None


def running(run_generation: int, *, is_judged: bool = False) -> StatusUpdate:
    """Return the update while a run is under way.

    ``Ready`` becomes ``Unknown`` only where it is about an older generation: a periodic run must leave it.
    ``is_judged``: it is about this one, whatever the kind's schema keeps of that.
    """

    def update(obj: KubeObject, now: datetime) -> dict[str, Any]:
        targets = [_Target(ConditionType.RUNNING, Truth.TRUE, "Running", "Running reconciliation")]
        conditions = conditions_of(obj)
        successful = find(conditions, ConditionType.SUCCESSFUL)
        if successful is not None:
            reason, message = successful.get("reason") or "Running", successful.get("message") or ""
            targets.append(_Target(ConditionType.SUCCESSFUL, Truth.FALSE, str(reason), str(message)))
        ready = find(conditions, ConditionType.READY)
        if ready is None or not (is_judged or judged_generation(obj) == run_generation):
            targets.append(
                _Target(
                    ConditionType.READY,
                    Truth.UNKNOWN,
                    ReadyReason.RECONCILING,
                    "A run for this generation is under way",
                    observed_generation=run_generation,
                )
            )
        return _changes(obj, targets, now)

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
            _Target(ConditionType.FAILURE, Truth.FALSE, "Successful"),
            _Target(
                ConditionType.READY,
                Truth.TRUE,
                ReadyReason.SUCCEEDED,
                "The last run succeeded",
                observed_generation=run_generation,
            ),
        ]
        return _changes(obj, targets, now) | _claim(obj, run_generation)

    return update


def failed(
    run_generation: int, message: str, result: RunResult | None = None, *, is_final: bool = False
) -> StatusUpdate:
    """Return the update after a run that failed, or could not start.

    ``message`` says why, for people. ``is_final``: it is not tried again before something changes.
    """
    stats = result.stats if result is not None else None
    message = message[:MESSAGE_LIMIT]

    def update(obj: KubeObject, now: datetime) -> dict[str, Any]:
        was_running = find(conditions_of(obj), ConditionType.RUNNING) or {}
        targets = [
            _Target(
                ConditionType.RUNNING,
                Truth.FALSE,
                str(was_running.get("reason") or "Running"),
                str(was_running.get("message") or "Running reconciliation"),
            ),
            _Target(ConditionType.SUCCESSFUL, Truth.FALSE, "Failed"),
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
        if is_final:
            targets.append(_Target(ConditionType.STALLED, Truth.TRUE, StalledReason.WAITING_FOR_CHANGE, message))
        changes = _changes(obj, targets, now)
        if _misleads(obj, run_generation, is_final=is_final):
            return changes | _disclaim(obj, run_generation)
        return changes | _claim(obj, run_generation)

    return update


def judged_generation(obj: KubeObject) -> int | None:
    """Return the generation that ``Ready`` is about, as far as the kind's schema keeps it."""
    ready = find(conditions_of(obj), ConditionType.READY) or {}
    if ready.get("status") == Truth.UNKNOWN:
        return None
    found = ready.get("observedGeneration", _observed_generation(obj))
    return found if isinstance(found, int) else None


def _observed_generation(obj: KubeObject) -> Any:
    status = obj.get("status")
    return status.get("observedGeneration") if isinstance(status, dict) else None


def _claim(obj: KubeObject, run_generation: int) -> dict[str, Any]:
    """Return the change that makes conditions count for a generation."""
    if not run_generation or _observed_generation(obj) == run_generation:
        return {}
    return {"observedGeneration": run_generation}


def _disclaim(obj: KubeObject, run_generation: int) -> dict[str, Any]:
    """Return the change that keeps conditions from counting for a generation."""
    if not run_generation or _observed_generation(obj) is not None:
        return {}
    return {"observedGeneration": run_generation - 1}


def _misleads(obj: KubeObject, run_generation: int, *, is_final: bool) -> bool:
    """Tell whether a role's ``Ready=True`` would be taken for that of a run that failed.

    kstatus takes it for that of ``status.observedGeneration``, unless the object is stalled; ``kubectl wait`` looks at
    the condition's own generation first.
    """
    conditions = conditions_of(obj)
    ready = find(conditions, ConditionType.READY)
    if ready is None or is_own(ready, conditions) or ready.get("status") != Truth.TRUE:
        return False
    own_generation = ready.get("observedGeneration")
    return not (is_final and isinstance(own_generation, int) and own_generation < run_generation)


def _changes(obj: KubeObject, targets: list[_Target], now: datetime) -> dict[str, Any]:
    conditions = conditions_of(obj)
    merged = _merged(conditions, targets, now)
    return {"conditions": merged} if merged != conditions else {}


def _merged(conditions: list[Condition], targets: list[_Target], now: datetime) -> list[Condition]:
    """Return the conditions with the targets in their places.

    Other conditions keep their places and fields; an own ``Stalled`` that is no target goes.
    """
    merged = list(conditions)
    for target in targets:
        current = find(merged, target.type)
        if current is None:
            merged.append(_rendered(target, None, now))
        elif is_own(current, conditions) and not _is_settled(current, target):
            merged[merged.index(current)] = _rendered(target, current, now)
    stalled = find(conditions, ConditionType.STALLED)
    if stalled is not None and is_own(stalled, conditions) and ConditionType.STALLED not in {t.type for t in targets}:
        merged.remove(stalled)
    return merged


def _is_settled(current: Condition, target: _Target) -> bool:
    """Tell whether a condition equals its target.

    A new ``ansibleResult`` alone is no reason to write.
    """
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
