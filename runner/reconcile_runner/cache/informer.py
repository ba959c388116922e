"""The informer: the objects of one kind, their indexes and the event handlers.

Reflectors write into it through the ``Store`` Protocol. It works out what happened to an object, updates its store and
its indexes, and then calls the event handlers.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, KeysView
from dataclasses import dataclass
from typing import Final

from reconcile_runner.apimachinery.fieldpath import FieldPath
from reconcile_runner.apimachinery.objects import (
    GroupVersionKind,
    KubeObject,
    ObjectKey,
    key_of,
    metadata,
    resource_version,
    uid,
)
from reconcile_runner.cache.event import Event, EventType, Listener
from reconcile_runner.cache.managedfields import ManagedFields

ALL_NAMESPACES: Final = ""
MAX_RECENT_VERSIONS: Final = 2048
"""ResourceVersions of a kind that are remembered as seen.

A run asks whether its own write is among them.
"""
_NO_KEYS: Final[frozenset[ObjectKey]] = frozenset()


class Indexer:
    """Finds objects by their value at a path, at the same cost with any number."""

    def __init__(self, path: FieldPath) -> None:
        self.path = path
        self._keys_by_value: dict[str, set[ObjectKey]] = {}

    def lookup(self, value: str) -> Collection[ObjectKey]:
        """Return the keys of the objects that have ``value`` at the path.

        It is the index's own set, not a copy: read it before the event loop's next turn.
        """
        return self._keys_by_value.get(value, _NO_KEYS)

    def replace(self, key: ObjectKey, old: KubeObject | None, new: KubeObject | None) -> None:
        """Index an object by its new values; None: the object is not there."""
        before = self.path.values(old) if old is not None else frozenset()
        after = self.path.values(new) if new is not None else frozenset()
        for value in before - after:
            keys = self._keys_by_value[value]
            keys.discard(key)
            if not keys:
                del self._keys_by_value[value]
        for value in after - before:
            self._keys_by_value.setdefault(value, set()).add(key)


class Informer:
    """The objects of one kind, kept up to date.

    ``metadata_only``: of an object, only kind and ``metadata`` are kept. ``lists`` is how many complete lists of a
    namespace (or of all) there were.
    """

    def __init__(self, gvk: GroupVersionKind, *, metadata_only: bool) -> None:
        self.gvk = gvk
        self.metadata_only = metadata_only
        self.lists = 0
        self._objects: dict[ObjectKey, KubeObject] = {}
        self._managed_fields = ManagedFields()
        self._indexes: dict[FieldPath, Indexer] = {}
        self._listeners: list[Listener] = []
        self._list_listeners: list[Callable[[str], None]] = []
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._unsynced: set[str] = {ALL_NAMESPACES}
        self._synced = asyncio.Event()

    @property
    def has_synced(self) -> bool:
        """Whether every namespace has been listed once.

        It stays True when the kind goes away later.
        """
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait until ``has_synced``."""
        await self._synced.wait()

    def get(self, key: ObjectKey) -> KubeObject | None:
        """Return an object without ``managedFields``, or None. It is shared: never change it."""
        return self._objects.get(key)

    def managed_fields(self, key: ObjectKey) -> bytes | None:
        """Return the ``managedFields`` of the object that ``get`` returns as JSON; None: it has none."""
        return self._managed_fields.json_of(key)

    def keys(self) -> KeysView[ObjectKey]:
        """Return the keys of all objects, as a live view."""
        return self._objects.keys()

    def add_event_handler(self, listener: Listener) -> None:
        """Call ``listener`` for each event, after store and indexes were updated."""
        self._listeners.append(listener)

    def on_list(self, listener: Callable[[str], None]) -> None:
        """Call ``listener`` with the namespace (empty: all) after each complete list."""
        self._list_listeners.append(listener)

    def has_seen(self, version: str) -> bool:
        """Whether a resourceVersion is among the last ``MAX_RECENT_VERSIONS`` ones.

        False means unknown, not unseen.
        """
        return version in self._recent

    def index_by(self, path: FieldPath) -> Indexer:
        """Return the index over a path, which all callers share.

        Raises ``ValueError`` if only metadata is kept and the path leads elsewhere.
        """
        if self.metadata_only and not path.is_metadata:
            raise ValueError(f"{self.gvk} is cached as metadata only: no index by {path}")
        index = self._indexes.get(path)
        if index is None:
            index = self._indexes[path] = Indexer(path)
            for key, obj in self._objects.items():
                index.replace(key, None, obj)
        return index

    def scopes(self, namespaces: Iterable[str]) -> list[NamespaceStore]:
        """Return a store for each namespace that is listed from now on (empty: all).

        Objects of other namespaces are deleted: a kind may come back with another scope.
        """
        wanted = tuple(namespaces)
        if ALL_NAMESPACES not in wanted:
            for key in [key for key in self._objects if key.namespace not in wanted]:
                self._remove(key, self._objects[key])
        if not self.has_synced:
            self._unsynced = set(wanted)
        return [NamespaceStore(self, namespace) for namespace in wanted]

    def clear(self) -> None:
        """Delete every object, because the kind is gone."""
        for key, obj in list(self._objects.items()):
            self._remove(key, obj)

    def take_list(self, namespace: str, objects: Iterable[KubeObject]) -> None:
        """Take the complete list of a namespace: what is not in it was deleted."""
        gone = {key for key in self._objects if namespace in (ALL_NAMESPACES, key.namespace)}
        for obj in objects:
            key = key_of(obj)
            gone.discard(key)
            self._take(namespace, key, obj)
        for key in gone:
            self._remove(key, self._objects[key])
        self._unsynced.discard(namespace)
        if not self._unsynced:
            self._synced.set()
        self.lists += 1
        for listener in self._list_listeners:
            listener(namespace)

    def take(self, namespace: str, obj: KubeObject) -> None:
        """Take an object as it is now.

        The same resourceVersion is no event. Another uid: the earlier object was deleted in between.
        """
        self._take(namespace, key_of(obj), obj)

    def _take(self, namespace: str, key: ObjectKey, obj: KubeObject) -> None:
        old = self._objects.get(key)
        if old is not None and resource_version(old) == resource_version(obj):
            return
        if old is not None and uid(old) != uid(obj):
            self._remove(key, old)
            old = None
        self._managed_fields.put(key, metadata(obj).pop("managedFields", None))
        new = self._reduced(obj)
        self._objects[key] = new
        self._remember(resource_version(obj))
        self._index(key, old, new)
        if old is None:
            self._tell(Event(EventType.CREATED, new, is_initial=namespace in self._unsynced))
        else:
            self._tell(Event(EventType.UPDATED, new, old))

    def take_deleted(self, obj: KubeObject) -> None:
        """Take the last state of an object that is gone."""
        key = key_of(obj)
        self._remember(resource_version(obj))
        if key in self._objects:
            metadata(obj).pop("managedFields", None)
            self._remove(key, self._reduced(obj))

    def _remember(self, version: str) -> None:
        self._recent[version] = None
        if len(self._recent) > MAX_RECENT_VERSIONS:
            self._recent.popitem(last=False)

    def _remove(self, key: ObjectKey, last: KubeObject) -> None:
        self._managed_fields.drop(key)
        self._index(key, self._objects.pop(key), None)
        self._tell(Event(EventType.DELETED, last))

    def _reduced(self, obj: KubeObject) -> KubeObject:
        """Return what is kept of an object.

        Items in lists of built-in kinds have no kind, and partial objects have another one: all get their own.
        """
        own = {"apiVersion": self.gvk.api_version, "kind": self.gvk.kind}
        return {**own, "metadata": metadata(obj)} if self.metadata_only else {**obj, **own}

    def _index(self, key: ObjectKey, old: KubeObject | None, new: KubeObject | None) -> None:
        for index in self._indexes.values():
            index.replace(key, old, new)

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)


@dataclass(frozen=True, slots=True)
class NamespaceStore:
    """One namespace of a kind, or all of them: the ``Store`` of one reflector."""

    kind: Informer
    namespace: str

    def replace(self, objects: Iterable[KubeObject]) -> None:
        """Take a complete list."""
        self.kind.take_list(self.namespace, objects)

    def upsert(self, obj: KubeObject) -> None:
        """Take an object that was listed or watched."""
        self.kind.take(self.namespace, obj)

    def delete(self, obj: KubeObject) -> None:
        """Take the last state of a deleted object."""
        self.kind.take_deleted(obj)
