"""The writer: reads the live object, asks an update what differs, and patches only that.

Under the ``resourceVersion`` it read: a role writes its own fields and conditions at the same time, and neither may
overwrite the other's.
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
    """What came of a write."""

    CHANGED = "changed"
    """The status was patched."""

    UNCHANGED = "unchanged"
    """The status said so already, or the kind's schema has no place for what it does not say."""

    GONE = "gone"
    """The object is gone, or another one has taken its name."""


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

    async def write(self, resource: Resource, key: ObjectKey, object_uid: str, update: StatusUpdate) -> Written:
        """Bring the object's status to what ``update`` says, and tell what came of it.

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

        Where a schema lacks one of our fields the API server drops it: a write for each run would change nothing.
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
    """Return the changes without what differs each time: two of them are equal when they say the same."""
    moments = ("lastTransitionTime", "ansibleResult")
    conditions = [
        {name: value for name, value in condition.items() if name not in moments}
        for condition in changes.get("conditions", [])
    ]
    return {**changes, "conditions": conditions}
