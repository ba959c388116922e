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
from typing import Final

from reconcile_runner.apimachinery.objects import (
    GroupVersionKind,
    KubeObject,
    ObjectKey,
    generation,
    key_of,
    metadata,
    resource_version,
)
from reconcile_runner.apimachinery.owners import is_referenced, owner_keys
from reconcile_runner.cache.cache import Cache
from reconcile_runner.cache.event import Event, EventType, Listener
from reconcile_runner.cache.informer import Informer
from reconcile_runner.cache.lister import Lister
from reconcile_runner.client.discovery import Resource
from reconcile_runner.controller.source import DependentSource, Primary
from reconcile_runner.controller.workqueue import WorkQueue
from reconcile_runner.logs import get_logger
from reconcile_runner.metrics import Metrics
from reconcile_runner.watches.watch import Watch

NEEDED_VERBS: Final = frozenset({"list", "watch"})
MAX_OBSERVED: Final = 10_000
"""Objects of a kind that are remembered until the cache shows them; beyond that the oldest are forgotten."""

_EVENT_GROUPS: Final = frozenset({"", "events.k8s.io"})

_log = get_logger(__name__)


class Dependents:
    """The kinds that have dependents, and the watches whose objects own them."""

    def __init__(self, cache: Cache, metrics: Metrics) -> None:
        self._cache = cache
        self._metrics = metrics
        self._primaries: list[Primary] = []
        self._watched: dict[tuple[str, str], _DependentKind] = {}

    def add_watch(self, watch: Watch, objects: Lister, queue: WorkQueue) -> None:
        """Reconcile objects of ``watch`` for their dependents. Call it before any kind of dependents is watched."""
        if watch.watch_dependent_resources:
            self._primaries.append(Primary(watch, objects, queue))

    def can_watch(self, resource: Resource) -> bool:
        """Tell whether a watch wants dependents of a kind, and the API server can watch the kind."""
        return (
            not is_event_kind(resource.gvk)
            and resource.verbs >= NEEDED_VERBS
            and any(_wants_kind(primary.watch, resource) for primary in self._primaries)
        )

    def is_watched(self, resource: Resource) -> bool:
        """Tell whether a kind is watched and listed, so that objects that are read tell nothing new about it."""
        return self.lists_seen(resource) > 0

    def watch_kind_of(self, resource: Resource, obj: KubeObject) -> bool:
        """Watch the kind of ``obj`` from now on if ``obj`` is a dependent; return whether it is one.

        Metadata is enough where the generation tells a new spec from a new status, or where there is no status.
        """
        if not self.can_watch(resource) or not any(_wants(it.watch, resource, obj) for it in self._primaries):
            return False
        name = (resource.gvk.group, resource.gvk.kind)
        known = self._watched.get(name)
        gvk = known.gvk if known else resource.gvk
        whole = "status" in resource.subresources and generation(obj) == 0
        informer = self._cache.get_informer(gvk, whole=whole, required=False)
        if known is None:
            primaries = [primary for primary in self._primaries if _wants_kind(primary.watch, resource)]
            self._watched[name] = _DependentKind(gvk, informer, primaries, self._metrics)
            _log.info("watching dependents", dependent_gvk=str(gvk), metadata_only=informer.metadata_only)
        return True

    def lists_seen(self, resource: Resource) -> int:
        """Return how many complete lists of a dependent kind there were so far. Needed for ``observe``."""
        kind = self._watched.get((resource.gvk.group, resource.gvk.kind))
        return kind.lists if kind is not None else 0

    def observe(self, resource: Resource, obj: KubeObject, lists_before: int) -> None:
        """Take an object as the API server just returned it to a run, read or written.

        ``lists_before`` is what ``lists_seen`` returned before the run's request went out.
        """
        if self.watch_kind_of(resource, obj):
            self._watched[resource.gvk.group, resource.gvk.kind].observe(obj, lists_before)

    def observer(self, resource_of: Callable[[GroupVersionKind], Resource | None], gvk: GroupVersionKind) -> Listener:
        """Return an event handler for a kind that is watched anyway. It finds dependents without a request."""

        def on_event(event: Event) -> None:
            resource = resource_of(gvk)
            if resource is not None:
                self.watch_kind_of(resource, event.object)

        return on_event


class _DependentKind:
    """One kind that has dependents, in the version that was seen first: a source for each watch that wants it."""

    def __init__(
        self, gvk: GroupVersionKind, informer: Informer, primaries: Iterable[Primary], metrics: Metrics
    ) -> None:
        self.gvk = gvk
        self.lists = int(informer.has_synced)
        self._informer = informer
        self._sources = [
            DependentSource(primary, gvk, metrics, metadata_only=informer.metadata_only) for primary in primaries
        ]
        self._observed: OrderedDict[ObjectKey, KubeObject] = OrderedDict()
        informer.add_event_handler(self._on_event)
        informer.on_list(self._on_list)

    def observe(self, obj: KubeObject, lists_before: int) -> None:
        """Remember the state of an object that the cache does not show yet."""
        key = key_of(obj)
        if self._informer.get(key) is not None or self._informer.has_seen(resource_version(obj)):
            return
        if 0 < self.lists != lists_before:
            # A list came while the object was on its way here. The object may have been deleted before that list.
            self._hand_on(Event(EventType.DELETED, obj))
            return
        own = {"apiVersion": self.gvk.api_version, "kind": self.gvk.kind}
        self._observed[key] = {**own, "metadata": metadata(obj)} if self._informer.metadata_only else {**obj, **own}
        if len(self._observed) > MAX_OBSERVED:
            self._observed.popitem(last=False)

    def _on_event(self, event: Event) -> None:
        if event.type is EventType.CREATED:
            observed = self._observed.pop(key_of(event.object), None)
            if observed is None:
                return
            event = Event(EventType.UPDATED, event.object, observed)
        self._hand_on(event)

    def _on_list(self, namespace: str) -> None:
        """Find what was deleted before it could be listed: observed, and not there."""
        self.lists += 1
        listed = [key for key in self._observed if namespace in ("", key.namespace)]
        for key in listed:
            obj = self._observed.pop(key)
            if self._informer.get(key) is None:
                self._hand_on(Event(EventType.DELETED, obj))

    def _hand_on(self, event: Event) -> None:
        for source in self._sources:
            source.on_event(event)


def _wants_kind(watch: Watch, resource: Resource) -> bool:
    return resource.gvk not in watch.blacklist


def _wants(watch: Watch, resource: Resource, obj: KubeObject) -> bool:
    """Tell whether an object is a dependent of an object of the watch, and the watch wants it."""
    if not _wants_kind(watch, resource) or next(owner_keys(obj, watch.gvk), None) is None:
        return False
    return resource.namespaced or watch.watch_cluster_scoped_resources or is_referenced(obj, watch.gvk)


def is_event_kind(gvk: GroupVersionKind) -> bool:
    """Tell whether a kind is that of Kubernetes Events.

    An Event speaks about an object. It is no part of it: it should outlive a deletion that it reports, and one that a
    run writes must not start the next run.
    """
    return gvk.kind == "Event" and gvk.group in _EVENT_GROUPS
