"""Conditions: what a run's result looks like in an object's ``status``.

``reconciler`` asks for a ``StatusUpdate`` and hands it to ``StatusWriter``, which reads the live object, works out what
differs and patches only that, under the ``resourceVersion`` it read: a role writes its own fields and conditions at the
same time, and neither may overwrite the other's. Condition types, reasons and messages are upstream's
(ansible-operator-plugins, ``internal/ansible/controller/status``); ``Ready`` and ``observedGeneration`` are ours.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from runner.client import ApiClient, PatchType
from runner.clock import Clock
from runner.discovery import Resource
from runner.errors import ConflictError, NotFoundError
from runner.logs import get_logger
from runner.objects import KubeObject, ObjectKey, resource_version, uid
from runner.run import RunResult, RunStats

Condition: TypeAlias = dict[str, Any]

MAX_CONFLICTS = 5
"""How often a patch is worked out anew because somebody else wrote in between."""


class ConditionType(enum.StrEnum):
    """The conditions that the reconciler owns."""

    RUNNING = "Running"
    SUCCESSFUL = "Successful"
    FAILURE = "Failure"
    READY = "Ready"


class Truth(enum.StrEnum):
    """A condition's status."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ReadyReason(enum.StrEnum):
    """Why ``Ready`` is as it is. A ``Ready`` with any other reason was written by a role, and stays as it is."""

    SUCCEEDED = "ReconcileSucceeded"
    FAILED = "ReconcileFailed"
    RECONCILING = "Reconciling"


_log = get_logger("status")

StatusUpdate: TypeAlias = Callable[[KubeObject, datetime], dict[str, Any]]
"""From the live object and the time to the fields of ``status`` that are to be written; empty when all is as it should
be."""


@dataclass(frozen=True, slots=True)
class _Target:
    """A condition as it should be, before anybody knows whether that is a change."""

    type: ConditionType
    status: Truth
    reason: str = ""
    message: str = ""
    ansible_result: dict[str, Any] | None = None
    observed_generation: int | None = None


def running(run_generation: int) -> StatusUpdate:
    """Return the update that says a run is under way.

    ``Ready`` becomes ``Unknown`` only where it speaks of an older generation: a periodic run must not take it away.
    """

    def update(obj: KubeObject, now: datetime) -> dict[str, Any]:
        targets = [_Target(ConditionType.RUNNING, Truth.TRUE, "Running", "Running reconciliation")]
        successful = _find(_conditions(obj), ConditionType.SUCCESSFUL)
        if successful is not None:
            kept = {name: str(successful.get(name, "")) for name in ("reason", "message")}
            targets.append(_Target(ConditionType.SUCCESSFUL, Truth.FALSE, kept["reason"], kept["message"]))
        ready = _find(_conditions(obj), ConditionType.READY)
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
                ansible_result=_ansible_result(result.stats, now),
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


def failed(run_generation: int, message: str, stats: RunStats | None = None) -> StatusUpdate:
    """Return the update after a run that failed, or could not be started. ``message`` says why, for people."""

    def update(obj: KubeObject, now: datetime) -> dict[str, Any]:
        was_running = _find(_conditions(obj), ConditionType.RUNNING) or {}
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
                ansible_result=_ansible_result(stats, now) if stats is not None else None,
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


def nothing(obj: KubeObject, now: datetime) -> dict[str, Any]:
    """Return the update that changes nothing (``manageStatus: false``)."""
    del obj, now
    return {}


@dataclass(frozen=True, slots=True)
class _Dropped:
    """What an object still lacked after it had been patched, and its resourceVersion then."""

    resource_version: str
    changes: dict[str, Any]


class StatusWriter:
    """Writes updates to the status subresource of one kind (or to the object, for kinds without one)."""

    def __init__(self, client: ApiClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._dropped: dict[str, _Dropped] = {}

    async def write(self, resource: Resource, key: ObjectKey, object_uid: str, update: StatusUpdate) -> bool:
        """Bring the object's status to what ``update`` says; tell whether the object is still there.

        False: it is gone, or another object has taken its name. Raises ``ApiError`` or ``ApiUnreachableError`` where
        the API server would not take the patch, ``ConflictError`` after ``MAX_CONFLICTS`` in a row.
        """
        path = resource.path(key.namespace, key.name)
        status_path = resource.path(key.namespace, key.name, "status") if "status" in resource.subresources else path
        for attempt in range(1, MAX_CONFLICTS + 1):
            try:
                live = await self._client.get(path)
                if uid(live) != object_uid:
                    return False
                await self._bring_to(live, path, status_path, update)
            except NotFoundError:
                self._dropped.pop(path, None)
                return False
            except ConflictError:
                if attempt == MAX_CONFLICTS:
                    raise
            else:
                return True
        raise AssertionError("the loop above returns or raises")

    async def _bring_to(self, live: KubeObject, path: str, status_path: str, update: StatusUpdate) -> None:
        """Patch what differs, but not what the same patch could not change the last time.

        Where a schema lacks one of our fields the API server drops it: a write for each run would change nothing.
        """
        now = self._clock.now()
        changes = update(live, now)
        if not changes or self._dropped.get(path) == _Dropped(resource_version(live), _timeless(changes)):
            return
        patched = await self._client.patch(status_path, _patch(live, changes), patch_type=PatchType.MERGE)
        left = update(patched, now)
        if left:
            self._dropped[path] = _Dropped(resource_version(patched), _timeless(left))
            _log.debug("the kind's schema drops fields of the status", fields=sorted(left))
        else:
            self._dropped.pop(path, None)


def _patch(live: KubeObject, changes: dict[str, Any]) -> KubeObject:
    return {"metadata": {"resourceVersion": resource_version(live)}, "status": changes}


def _timeless(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the changes without what differs each time: two of them are equal when they say the same."""
    moments = ("lastTransitionTime", "ansibleResult")
    conditions = [
        {name: value for name, value in condition.items() if name not in moments}
        for condition in changes.get("conditions", [])
    ]
    return {**changes, "conditions": conditions}


def _conditions(obj: KubeObject) -> list[Condition]:
    """Return the conditions that can be read; a role may have written anything into ``status``."""
    status = obj.get("status")
    conditions = status.get("conditions") if isinstance(status, dict) else None
    return [c for c in conditions if isinstance(c, dict)] if isinstance(conditions, list) else []


def _find(conditions: list[Condition], wanted: ConditionType) -> Condition | None:
    return next((condition for condition in conditions if condition.get("type") == wanted), None)


def _changes(
    obj: KubeObject, targets: list[_Target], now: datetime, *, observed_generation: int | None
) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    conditions = _conditions(obj)
    merged = _merged(conditions, targets, now)
    if merged != conditions:
        changes["conditions"] = merged
    status = obj.get("status")
    written = status.get("observedGeneration") if isinstance(status, dict) else None
    if observed_generation and written != observed_generation:
        changes["observedGeneration"] = observed_generation
    return changes


def _merged(conditions: list[Condition], targets: list[_Target], now: datetime) -> list[Condition]:
    """Return the conditions with the targets in their places; what is not ours keeps its place and its fields."""
    merged = list(conditions)
    for target in targets:
        current = _find(merged, target.type)
        if current is None:
            merged.append(_rendered(target, None, now))
        elif not _is_settled(current, target):
            merged[merged.index(current)] = _rendered(target, current, now)
    return merged


def _is_settled(current: Condition, target: _Target) -> bool:
    """Tell whether a condition says already what it should; a new ``ansibleResult`` alone is no reason to write."""
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
        "lastTransitionTime": kept_since or now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "reason": target.reason,
        "message": target.message,
    }
    if target.ansible_result is not None:
        condition["ansibleResult"] = target.ansible_result
    if target.observed_generation is not None:
        condition["observedGeneration"] = target.observed_generation
    return condition


def _ansible_result(stats: RunStats | None, now: datetime) -> dict[str, Any]:
    counts = stats or RunStats()
    return {
        "ok": counts.ok,
        "changed": counts.changed,
        "skipped": counts.skipped,
        "failures": counts.failures,
        "completion": now.strftime("%Y-%m-%dT%H:%M:%S.%f+00:00"),
    }
