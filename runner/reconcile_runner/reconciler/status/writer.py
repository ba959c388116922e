"""Writes status updates: reads the live object, patches what differs.

A patch carries the ``resourceVersion`` that was read: a role writes its own fields and conditions at the same time, and
neither may overwrite the other's.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from reconcile_runner.apimachinery.objects import KubeObject, ObjectKey, resource_version, uid
from reconcile_runner.client import ApiClient, PatchType, retry_on_conflict
from reconcile_runner.client.discovery import Resource
from reconcile_runner.clock import Clock
from reconcile_runner.errors import NotFoundError
from reconcile_runner.logs import get_logger
from reconcile_runner.reconciler.status.types import StatusUpdate

_log = get_logger(__name__)


class Written(enum.StrEnum):
    """The outcome of a write."""

    CHANGED = "changed"
    """The status was patched."""

    UNCHANGED = "unchanged"
    """The status had these values already, or the kind's schema drops the rest."""

    GONE = "gone"
    """The object is gone, or was replaced by one of the same name."""


@dataclass(frozen=True, slots=True)
class _Dropped:
    """What an object lacked after it had been patched.

    ``resource_version`` is the object's then.
    """

    resource_version: str
    changes: dict[str, Any]


class StatusWriter:
    """Writes updates to the status subresource of one kind.

    Kinds without one get them in the object itself.
    """

    def __init__(self, client: ApiClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._dropped: dict[str, _Dropped] = {}

    async def write(self, resource: Resource, key: ObjectKey, object_uid: str, update: StatusUpdate) -> Written:
        """Apply an update to the object's status, and return the outcome.

        Raises ``ApiError`` (``ConflictError`` as ``retry_on_conflict`` does) or ``ApiUnreachableError``.
        """
        path = resource.path(key.namespace, key.name)
        status_path = resource.path(key.namespace, key.name, "status") if "status" in resource.subresources else path

        async def bring(live: KubeObject) -> Written:
            return await self._bring_to(live, path, status_path, update) if uid(live) == object_uid else Written.GONE

        try:
            return await retry_on_conflict(lambda: self._client.get(path), bring)
        except NotFoundError:
            self._dropped.pop(path, None)
            return Written.GONE

    async def _bring_to(self, live: KubeObject, path: str, status_path: str, update: StatusUpdate) -> Written:
        """Patch what differs, but not what the same patch could not change the last time.

        The API server drops a field that the kind's schema lacks: to write it in each run would change nothing.
        """
        now = self._clock.now()
        changes = update(live, now)
        if not changes or self._dropped.get(path) == _Dropped(resource_version(live), _timeless(changes)):
            return Written.UNCHANGED
        patched = await self._client.patch(status_path, _patch(live, changes), patch_type=PatchType.MERGE)
        left = update(patched, now)
        if left:
            self._dropped[path] = _Dropped(resource_version(patched), _timeless(left))
            _log.debug("the kind's schema drops fields of the status", fields=sorted(left))
        else:
            self._dropped.pop(path, None)
        return Written.CHANGED


def _patch(live: KubeObject, changes: dict[str, Any]) -> KubeObject:
    return {"metadata": {"resourceVersion": resource_version(live)}, "status": changes}


def _timeless(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the changes without times and results.

    Two of them are equal when they change the same.
    """
    moments = ("lastTransitionTime", "ansibleResult")
    conditions = [
        {name: value for name, value in condition.items() if name not in moments}
        for condition in changes.get("conditions", [])
    ]
    return {**changes, "conditions": conditions}
