"""The objects of one kind that somebody watches, and indexes over their fields.

``reflector`` writes into it through the ``Store`` Protocol; here it is worked out what happened to an object, the store
and its indexes are brought up to date, and then the listeners are called (``source`` and ``dependents``, which hand on
to ``predicate`` and ``handler``). ``handler`` asks the indexes, ``reconciler`` and ``proxy`` read objects. ``cache``
holds all kinds and runs their reflectors.
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

ALL_NAMESPACES: Final = ""
RECENT: Final = 2048
"""How many resourceVersions a kind remembers to have seen, for runs that ask whether their write is among them."""
_NO_KEYS: Final[frozenset[ObjectKey]] = frozenset()


class Indexer:
    """Which objects have a value at a path. One lookup costs the same with ten objects or 100,000."""

    def __init__(self, path: FieldPath) -> None:
        self.path = path
        self._keys_by_value: dict[str, set[ObjectKey]] = {}

    def lookup(self, value: str) -> Collection[ObjectKey]:
        """Return the keys of the objects that have ``value`` at the path.

        It is the index's own set, not a copy: read it before the event loop gets its next turn.
        """
        return self._keys_by_value.get(value, _NO_KEYS)

    def replace(self, key: ObjectKey, old: KubeObject | None, new: KubeObject | None) -> None:
        """Move an object from the values it had to those it has; None stands for an object that is not there."""
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
    """The objects of one kind. ``metadata_only`` ones hold nothing of an object but kind and ``metadata``."""

    def __init__(self, gvk: GroupVersionKind, *, metadata_only: bool) -> None:
        self.gvk = gvk
        self.metadata_only = metadata_only
        self._objects: dict[ObjectKey, KubeObject] = {}
        self._indexes: dict[FieldPath, Indexer] = {}
        self._listeners: list[Listener] = []
        self._list_listeners: list[Callable[[str], None]] = []
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._unsynced: set[str] = {ALL_NAMESPACES}
        self._synced = asyncio.Event()

    @property
    def has_synced(self) -> bool:
        """Tell whether every namespace has been listed once. It stays true when the kind goes away later."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait until ``has_synced``."""
        await self._synced.wait()

    def get(self, key: ObjectKey) -> KubeObject | None:
        """Return an object, or None. It is shared: never change it."""
        return self._objects.get(key)

    def keys(self) -> KeysView[ObjectKey]:
        """Return the keys of all objects, as a live view."""
        return self._objects.keys()

    def add_event_handler(self, listener: Listener) -> None:
        """Call ``listener`` for every event from now on; store and indexes are up to date by then."""
        self._listeners.append(listener)

    def on_list(self, listener: Callable[[str], None]) -> None:
        """Call ``listener`` with the namespace (empty: all) after each complete list of it from now on."""
        self._list_listeners.append(listener)

    def has_seen(self, version: str) -> bool:
        """Tell whether a resourceVersion is among the last ones that this kind had to do with, deletions included.

        False says nothing: it may have been long ago, or a list may have passed it over.
        """
        return version in self._recent

    def index_by(self, path: FieldPath) -> Indexer:
        """Return the index over a path, shared by all who ask for it.

        Raises ``ValueError`` where the cache holds metadata only and the path leads elsewhere.
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
        """Return a store for each namespace (an empty one: all) to be listed from now on.

        What is stored of other namespaces is deleted: a kind may come back cluster-scoped.
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
        """Take the complete list of a namespace; what is stored but not listed was deleted meanwhile."""
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
        for listener in self._list_listeners:
            listener(namespace)

    def take(self, namespace: str, obj: KubeObject) -> None:
        """Take an object as it is now. An equal resourceVersion is no news; another uid: it was deleted in between."""
        self._take(namespace, key_of(obj), obj)

    def _take(self, namespace: str, key: ObjectKey, obj: KubeObject) -> None:
        old = self._objects.get(key)
        if old is not None and resource_version(old) == resource_version(obj):
            return
        if old is not None and uid(old) != uid(obj):
            self._remove(key, old)
            old = None
        new = self._reduced(obj)
        self._objects[key] = new
        self._remember(resource_version(obj))
        self._index(key, old, new)
        if old is None:
            self._tell(Event(EventType.CREATED, new, initial=namespace in self._unsynced))
        else:
            self._tell(Event(EventType.UPDATED, new, old))

    def take_deleted(self, obj: KubeObject) -> None:
        """Take the last state of an object that is gone."""
        key = key_of(obj)
        self._remember(resource_version(obj))
        if key in self._objects:
            self._remove(key, self._reduced(obj))

    def _remember(self, version: str) -> None:
        self._recent[version] = None
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)

    def _remove(self, key: ObjectKey, last: KubeObject) -> None:
        self._index(key, self._objects.pop(key), None)
        self._tell(Event(EventType.DELETED, last))

    def _reduced(self, obj: KubeObject) -> KubeObject:
        """Return what is kept of an object.

        Items of lists of built-in kinds do not say their kind, and partial ones say another: all get their own.
        """
        metadata(obj).pop("managedFields", None)
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
    """One namespace of a kind, or all of them: the ``Store`` of one informer."""

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
