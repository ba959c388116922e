"""The finalizer: what a deletion runs, and its name on the object.

The name is on an object before its first run, so that a deletion waits, and comes off when the finalizer's run
succeeded. It is the watch's, the same as under upstream's operator: either operator finishes what the other began.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from reconcile_runner.apimachinery.objects import KubeObject, ObjectKey, is_deleting, metadata, resource_version, uid
from reconcile_runner.client import ApiClient, PatchType, retry_on_conflict
from reconcile_runner.client.discovery import Resource
from reconcile_runner.errors import NotFoundError
from reconcile_runner.watches.watch import Watch


def has_finalizer(obj: KubeObject, name: str) -> bool:
    """Tell whether the object has the finalizer of this name."""
    return name in _finalizers(obj)


def for_deletion(watch: Watch) -> Watch:
    """Return the watch with the finalizer's play and variables.

    A finalizer with neither playbook nor role runs the watch's own. Raises ``ValueError`` for a watch without one.
    """
    if watch.finalizer is None:
        raise ValueError(f"the watch of {watch.gvk} has no finalizer")
    chosen = replace(watch, vars={**watch.vars, **watch.finalizer.vars})
    if watch.finalizer.playbook is None and watch.finalizer.role is None:
        return chosen
    return replace(chosen, playbook=watch.finalizer.playbook, role=watch.finalizer.role)


class FinalizerKeeper:
    """Puts finalizers on objects and takes them off; those of others stay.

    Each patch holds the ``resourceVersion`` of the list it was made from. Methods raise ``ApiError`` (``ConflictError``
    as ``retry_on_conflict`` does) or ``ApiUnreachableError``.
    """

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    async def add(self, resource: Resource, key: ObjectKey, obj: KubeObject, name: str) -> KubeObject | None:
        """Put a name on the object and return the object as stored.

        None: it is gone, was replaced, or is being deleted, when the API server accepts no further finalizer.
        """
        path, wanted = resource.path(key.namespace, key.name), uid(obj)

        async def put(current: KubeObject) -> KubeObject | None:
            if uid(current) != wanted or is_deleting(current):
                return None
            if has_finalizer(current, name):
                return current
            return await self._put(path, current, [*_finalizers(current), name])

        try:
            return await retry_on_conflict(lambda: self._client.get(path), put, known=obj)
        except NotFoundError:
            return None

    async def remove(self, resource: Resource, key: ObjectKey, object_uid: str, name: str) -> None:
        """Take a name off the object.

        Nothing happens where the object is gone or does not have the name.
        """
        path = resource.path(key.namespace, key.name)

        async def take_off(live: KubeObject) -> None:
            if uid(live) == object_uid and has_finalizer(live, name):
                await self._put(path, live, [kept for kept in _finalizers(live) if kept != name])

        with suppress(NotFoundError):
            await retry_on_conflict(lambda: self._client.get(path), take_off)

    async def _put(self, path: str, obj: KubeObject, finalizers: list[str]) -> KubeObject:
        body = {"metadata": {"resourceVersion": resource_version(obj), "finalizers": finalizers}}
        patched = await self._client.patch(path, body, patch_type=PatchType.MERGE)
        metadata(patched).pop("managedFields", None)  # as in the cache: no role needs it
        return patched


def _finalizers(obj: KubeObject) -> list[str]:
    return metadata(obj).get("finalizers") or []
