"""Writes status updates: reads the live object, patches what differs.

A patch carries the ``resourceVersion`` that was read: a role writes its own fields and conditions at the same time, and
neither may overwrite the other's.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from reconcile_runner.apimachinery.objects import (
    KubeObject,
    ObjectKey,
    generation,
    has_same_content,
    key_of,
    resource_version,
    uid,
)
from reconcile_runner.client import ApiClient, PatchType, retry_on_conflict
from reconcile_runner.client.discovery import Resource
from reconcile_runner.clock import Clock
from reconcile_runner.errors import NotFoundError
from reconcile_runner.logs import get_logger
from reconcile_runner.reconciler.status.types import StatusUpdate

UpdateFor: TypeAlias = Callable[[int], StatusUpdate]
"""A function from a generation to the update that is about it."""

MAX_DROPPED: Final = 4
"""Patches without effect that are remembered of an object: those of a run, and of a run that ends otherwise."""

_log = get_logger(__name__)


class Written(enum.StrEnum):
    """The outcome of a write."""

    CHANGED = "changed"
    """The status was patched."""

    UNCHANGED = "unchanged"
    """The status had these values already, or the kind's schema drops the rest."""

    REFUSED = "refused"
    """The API server does not take it. It is written as soon as it does."""

    GONE = "gone"
    """The object is gone, or was replaced by one of the same name."""


@dataclass(slots=True)
class _Known:
    """What the writer remembers of an object.

    ``dropped`` is what the object lacked after patches that had left it at ``resource_version``.
    ``judged`` is the last generation that got its verdict.
    """

    uid: str
    resource_version: str = ""
    dropped: list[dict[str, Any]] = field(default_factory=list)
    judged: int = 0


class StatusWriter:
    """Writes updates to the status subresource of one kind.

    Kinds without one get them in the object itself.
    """

    def __init__(self, client: ApiClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._known: dict[ObjectKey, _Known] = {}

    async def write(
        self, resource: Resource, obj: KubeObject, update_for: UpdateFor, *, is_verdict: bool = True
    ) -> Written:
        """Apply an update about ``obj`` to the status of the live object, and return the outcome.

        Raises ``ApiError`` (``ConflictError`` as ``retry_on_conflict`` does) or ``ApiUnreachableError``.
        """
        key = key_of(obj)
        path = resource.path(key.namespace, key.name)

        async def bring(live: KubeObject) -> Written:
            if uid(live) != uid(obj):
                return Written.GONE
            return await self._bring_to(resource, live, obj, update_for, is_verdict=is_verdict)

        try:
            return await retry_on_conflict(lambda: self._client.get(path), bring)
        except NotFoundError:
            self.forget(key)
            return Written.GONE

    def is_judged(self, obj: KubeObject) -> bool:
        """Tell whether this process wrote a verdict on the object's generation, or on a later one."""
        known = self._known.get(key_of(obj))
        return known is not None and known.uid == uid(obj) and known.judged >= generation(obj)

    def forget(self, key: ObjectKey) -> None:
        """Forget an object that is gone."""
        self._known.pop(key, None)

    async def _bring_to(
        self, resource: Resource, live: KubeObject, obj: KubeObject, update_for: UpdateFor, *, is_verdict: bool
    ) -> Written:
        """Patch what differs, but not what the same patch could not change the last time.

        The API server drops a field that the kind's schema lacks: to write it in each run would change nothing.
        """
        known = self._known.get(key_of(obj))
        if known is None or known.uid != uid(obj):
            known = self._known[key_of(obj)] = _Known(uid(obj))
        changes = self._changes(resource, live, obj, update_for)
        written, now = Written.UNCHANGED, live
        if changes and not (known.resource_version == resource_version(live) and _timeless(changes) in known.dropped):
            now = await self._client.patch(_path(resource, obj), _patch(live, changes), patch_type=PatchType.MERGE)
            self._note_dropped(known, now, self._changes(resource, now, obj, update_for))
            written = Written.CHANGED
        if is_verdict:
            known.judged = _judged_generation(resource, now, obj)
        return written

    def _changes(self, resource: Resource, live: KubeObject, obj: KubeObject, update_for: UpdateFor) -> dict[str, Any]:
        """Return what an update changes.

        Without the status subresource a write raises the generation by one. The update is then about the generation
        that it makes, unless somebody changed the spec during the run.
        """
        about, now = _judged_generation(resource, live, obj), self._clock.now()
        changes = update_for(about)(live, now)
        if changes and about and about == generation(live) and not _has_subresource(resource):
            return update_for(about + 1)(live, now)
        return changes

    def _note_dropped(self, known: _Known, patched: KubeObject, left: dict[str, Any]) -> None:
        if known.resource_version != resource_version(patched):
            known.resource_version, known.dropped = resource_version(patched), []
        if left:
            known.dropped = [*known.dropped, _timeless(left)][-MAX_DROPPED:]
            _log.debug("the kind's schema drops fields of the status", fields=sorted(left))


def _has_subresource(resource: Resource) -> bool:
    return "status" in resource.subresources


def _judged_generation(resource: Resource, live: KubeObject, obj: KubeObject) -> int:
    """Return the generation that a verdict on ``obj`` is about.

    Without the status subresource it is the live object's, for as long as that has the spec that was run.
    """
    if not _has_subresource(resource) and has_same_content(live, obj):
        return generation(live)
    return generation(obj)


def _path(resource: Resource, obj: KubeObject) -> str:
    key = key_of(obj)
    return resource.path(key.namespace, key.name, "status" if _has_subresource(resource) else "")


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
