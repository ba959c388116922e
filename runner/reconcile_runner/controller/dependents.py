"""Dependents: the objects that runs made, whose deletion or change reconciles their owner.

``proxy`` tells of every owned object that passes (``saw``), ``dependentscan`` of the kinds that earlier runs left
behind; from then on the kind is watched: informer events -> predicate -> handler -> workqueue of each watch that it has
owners of. Nothing is set up before, and nothing is remembered outside the API server.

What happens to a dependent before its kind is listed for the first time is not lost: its state as ``proxy`` saw it is
kept until the cache shows the object, or a complete list does not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from reconcile_runner.apimachinery.objects import (
    GroupVersionKind,
    KubeObject,
    ObjectKey,
    generation,
    key_of,
    labels,
    metadata,
    resource_version,
)
from reconcile_runner.apimachinery.owners import is_referenced, owner_keys
from reconcile_runner.cache.event import Event, EventType, Listener
from reconcile_runner.client.discovery import Resource
from reconcile_runner.controller import handler, predicate
from reconcile_runner.controller.workqueue import Priority, WorkQueue
from reconcile_runner.logs import LogKey, get_logger
from reconcile_runner.watches.watch import Watch

NEEDED_VERBS: Final = frozenset({"list", "watch"})
MOST_EXPECTED: Final = 10_000
"""Objects of a kind that are remembered until the cache shows them; the oldest are forgotten beyond that."""

_EVENT_GROUPS: Final = frozenset({"", "events.k8s.io"})

_log = get_logger(__name__)


class DependentObjects(Protocol):
    """What is needed of the cache of a dependent kind. ``kindcache.Informer`` is one."""

    metadata_only: bool

    @property
    def has_synced(self) -> bool:
        """Tell whether there has been a complete list."""

    def get(self, key: ObjectKey) -> KubeObject | None:
        """Return an object, or None."""

    def has_seen(self, version: str) -> bool:
        """Tell whether a resourceVersion was seen lately."""

    def add_event_handler(self, listener: Listener) -> None:
        """Have events told to ``listener``."""

    def on_list(self, listener: Callable[[str], None]) -> None:
        """Have each complete list of a namespace (empty: all) told to ``listener``."""


class OwnerObjects(Protocol):
    """What is needed of the cache of a watch's own kind. ``kindcache.Informer`` is one."""

    def get(self, key: ObjectKey) -> KubeObject | None:
        """Return an object, or None."""


class FollowedKinds(Protocol):
    """What is needed of the cache of all kinds. ``cache.Cache`` is one."""

    def follow(self, gvk: GroupVersionKind, *, whole: bool) -> DependentObjects:
        """Return a kind's cache, watched from now on."""


@dataclass(frozen=True, slots=True)
class _OwnerWatch:
    """A watch whose objects may have dependents."""

    watch: Watch
    owners: OwnerObjects
    queue: WorkQueue

    def takes(self, resource: Resource) -> bool:
        return self.watch.watch_dependent_resources and resource.gvk not in self.watch.blacklist

    def has_owners_of(self, resource: Resource, obj: KubeObject) -> bool:
        """Tell whether an object is a dependent that this watch wants to hear of."""
        if not self.takes(resource) or next(owner_keys(obj, self.watch.gvk), None) is None:
            return False
        return resource.namespaced or self.watch.watch_cluster_scoped_resources or is_referenced(obj, self.watch.gvk)

    def enqueue(self, event: Event) -> list[ObjectKey]:
        """Queue the owners that are there and selected; return them."""
        found = [key for key in handler.for_owners(self.watch.gvk, event) if self._is_reconciled(key)]
        for request in found:
            self.queue.add(request, Priority.LIVE)
        return found

    def _is_reconciled(self, key: ObjectKey) -> bool:
        owner = self.owners.get(key)
        return owner is not None and self.watch.selector.matches(labels(owner))


class Dependents:
    """The kinds that have dependents, and who is reconciled for them."""

    def __init__(self, kinds: FollowedKinds) -> None:
        self._kinds = kinds
        self._watches: list[_OwnerWatch] = []
        self._kinds_followed: dict[tuple[str, str], _DependentKind] = {}

    def add_watch(self, watch: Watch, owners: OwnerObjects, queue: WorkQueue) -> None:
        """Reconcile objects of ``watch`` for their dependents from now on."""
        if watch.watch_dependent_resources:
            self._watches.append(_OwnerWatch(watch, owners, queue))

    def may_follow(self, resource: Resource) -> bool:
        """Tell whether any watch wants to hear of dependents of a kind, and the API server can tell of them."""
        return (
            not is_event_kind(resource.gvk)
            and resource.verbs >= NEEDED_VERBS
            and any(owner.takes(resource) for owner in self._watches)
        )

    def is_followed(self, resource: Resource) -> bool:
        """Tell whether a kind is followed already, so that there is nothing to learn from objects that are read."""
        kind = self._kinds_followed.get((resource.gvk.group, resource.gvk.kind))
        return kind is not None and kind.lists > 0

    def follow(self, resource: Resource, obj: KubeObject) -> bool:
        """Watch the kind of ``obj`` from now on where ``obj`` is a dependent; return whether it is one.

        Metadata is enough where the generation tells a new spec from a new status, or where there is no status.
        """
        if not self.may_follow(resource) or not any(it.has_owners_of(resource, obj) for it in self._watches):
            return False
        name = (resource.gvk.group, resource.gvk.kind)
        known = self._kinds_followed.get(name)
        gvk = known.resource.gvk if known else resource.gvk
        objects = self._kinds.follow(gvk, whole="status" in resource.subresources and generation(obj) == 0)
        if known is None:
            self._kinds_followed[name] = _DependentKind(resource, objects, self._watches)
            _log.info("watching dependents", dependent_gvk=str(gvk), metadata_only=objects.metadata_only)
        return True

    def lists_seen(self, resource: Resource) -> int:
        """Return how many complete lists of a dependent kind there were so far: ask before a request, for ``saw``."""
        kind = self._kinds_followed.get((resource.gvk.group, resource.gvk.kind))
        return kind.lists if kind is not None else 0

    def saw(self, resource: Resource, obj: KubeObject, lists_before: int) -> None:
        """Take an object as the API server just returned it to a run, read or written.

        ``lists_before`` is what ``lists_seen`` said before the run's request went out.
        """
        if self.follow(resource, obj):
            self._kinds_followed[resource.gvk.group, resource.gvk.kind].expect(obj, lists_before)

    def scout(self, resource_of: Callable[[GroupVersionKind], Resource | None], gvk: GroupVersionKind) -> Listener:
        """Return a listener for a kind that is watched anyway, which finds its dependents without a request."""

        def on_event(event: Event) -> None:
            resource = resource_of(gvk)
            if resource is not None:
                self.follow(resource, event.object)

        return on_event


class _DependentKind:
    """One kind that has dependents, whichever version of it was seen first."""

    def __init__(self, resource: Resource, objects: DependentObjects, watches: Iterable[_OwnerWatch]) -> None:
        self.resource = resource
        self.lists = int(objects.has_synced)
        self._objects = objects
        self._watches = watches
        self._expected: OrderedDict[ObjectKey, KubeObject] = OrderedDict()
        objects.add_event_handler(self._on_event)
        objects.on_list(self._on_list)

    def expect(self, obj: KubeObject, lists_before: int) -> None:
        """Remember the state of an object that the cache does not show yet."""
        key = key_of(obj)
        if self._objects.get(key) is not None or self._objects.has_seen(resource_version(obj)):
            return
        if 0 < self.lists != lists_before:
            # It may have been deleted before the list that came while it was on its way here: look, rather than wait.
            self._enqueue(Event(EventType.DELETED, obj))
            return
        own = {"apiVersion": self.resource.gvk.api_version, "kind": self.resource.gvk.kind}
        self._expected[key] = {**own, "metadata": metadata(obj)} if self._objects.metadata_only else {**obj, **own}
        if len(self._expected) > MOST_EXPECTED:
            self._expected.popitem(last=False)

    def _on_event(self, event: Event) -> None:
        if event.type is EventType.CREATED:
            expected = self._expected.pop(key_of(event.object), None)
            if expected is None:
                return
            event = replace(event, type=EventType.UPDATED, old=expected)
        if predicate.matters_to_owner(event, metadata_only=self._objects.metadata_only):
            self._enqueue(event)

    def _on_list(self, namespace: str) -> None:
        """Find what was deleted before it could be listed: expected, and not there."""
        self.lists += 1
        listed = [key for key in self._expected if namespace in ("", key.namespace)]
        for key in listed:
            obj = self._expected.pop(key)
            if self._objects.get(key) is None:
                self._enqueue(Event(EventType.DELETED, obj))

    def _enqueue(self, event: Event) -> None:
        for owner in self._watches:
            if not owner.takes(self.resource):
                continue
            requests = owner.enqueue(event)
            if requests:
                _log.info(
                    "dependent issued an event",
                    **{LogKey.GVK.value: str(owner.watch.gvk), LogKey.EVENT_TYPE.value: str(event.type)},
                    dependent_gvk=str(self.resource.gvk),
                    dependent=str(key_of(event.object)),
                    objects=[str(request) for request in requests],
                )


def is_event_kind(gvk: GroupVersionKind) -> bool:
    """Tell whether a kind is that of Kubernetes Events.

    An Event speaks about an object. It is no part of it: it should outlive a deletion that it reports, and one that a
    run writes must not start the next run.
    """
    return gvk.kind == "Event" and gvk.group in _EVENT_GROUPS
