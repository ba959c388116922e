"""Dependents: objects that runs made. A change of one reconciles its owner.

A kind is watched from its first dependent on, which a run's request or the scan of ``dependentscan`` shows. Nothing is
set up before, and nothing is stored outside the API server.

What happens to a dependent before its kind is listed for the first time is not lost: its state, as the run's request
showed it, is kept until the cache shows the object, or a complete list does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from cachetools import FIFOCache

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
"""Objects of a kind that are remembered until the cache shows them.

Beyond that, the oldest are forgotten.
"""

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
        """Reconcile objects of ``watch`` for their dependents.

        Call it before the first dependent is seen: a kind that is watched already gets no further watch.
        """
        if watch.watch_dependent_resources:
            self._primaries.append(Primary(watch, objects, queue))

    def can_watch(self, resource: Resource) -> bool:
        """Whether a watch wants dependents of a kind, and the API server can watch it."""
        return (
            not is_event_kind(resource.gvk)
            and resource.verbs >= NEEDED_VERBS
            and any(_wants_kind(primary.watch, resource) for primary in self._primaries)
        )

    def is_watched(self, resource: Resource) -> bool:
        """Whether a kind is watched and listed: its cache shows all dependents."""
        kind = self._watched.get((resource.gvk.group, resource.gvk.kind))
        return kind is not None and kind.informer.lists > 0

    def watch_kind_of(self, resource: Resource, obj: KubeObject) -> bool:
        """Watch the kind of ``obj`` if ``obj`` is a dependent; return whether it is.

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
        """Return how many complete lists of a kind there were. ``observe`` needs it.

        Those from before its first dependent count, too: watches and triggers have kinds listed that have none.
        """
        kind = self._watched.get((resource.gvk.group, resource.gvk.kind))
        informer = kind.informer if kind is not None else self._cache.required_informer(resource.gvk)
        return informer.lists if informer is not None else 0

    def observe(self, resource: Resource, obj: KubeObject, lists_before: int) -> None:
        """Take an object as the API server returned it to a run, read or written.

        ``lists_before`` is what ``lists_seen`` returned before the run's request went out.
        """
        if self.watch_kind_of(resource, obj):
            self._watched[resource.gvk.group, resource.gvk.kind].observe(obj, lists_before)

    def observer(self, resource_of: Callable[[GroupVersionKind], Resource | None], gvk: GroupVersionKind) -> Listener:
        """Return an event handler that finds dependents of a kind that is cached anyway.

        ``resource_of`` returns what discovery knows of a kind, or None.
        """

        def on_event(event: Event) -> None:
            resource = resource_of(gvk)
            if resource is not None:
                self.watch_kind_of(resource, event.object)

        return on_event


class _DependentKind:
    """A kind that has dependents, with a source for each watch that wants it.

    ``gvk`` has the version that was seen first. Another version of the kind is not watched a second time.
    """

    def __init__(
        self, gvk: GroupVersionKind, informer: Informer, primaries: Iterable[Primary], metrics: Metrics
    ) -> None:
        self.gvk = gvk
        self.informer = informer
        self._sources = [
            DependentSource(primary, gvk, metrics, metadata_only=informer.metadata_only) for primary in primaries
        ]
        self._observed: FIFOCache[ObjectKey, KubeObject] = FIFOCache(MAX_OBSERVED)
        informer.add_event_handler(self._on_event)
        informer.on_list(self._on_list)

    def observe(self, obj: KubeObject, lists_before: int) -> None:
        """Remember the state of an object that the cache does not show yet."""
        key = key_of(obj)
        if self.informer.get(key) is not None or self.informer.has_seen(resource_version(obj)):
            return
        if 0 < self.informer.lists != lists_before:
            # A list came while the object was on its way here. The object may have been deleted before that list.
            self._hand_on(Event(EventType.DELETED, obj))
            return
        own = {"apiVersion": self.gvk.api_version, "kind": self.gvk.kind}
        self._observed[key] = {**own, "metadata": metadata(obj)} if self.informer.metadata_only else {**obj, **own}

    def _on_event(self, event: Event) -> None:
        if event.type is EventType.CREATED:
            observed = self._observed.pop(key_of(event.object), None)
            if observed is None:
                return
            event = Event(EventType.UPDATED, event.object, observed)
        self._hand_on(event)

    def _on_list(self, namespace: str) -> None:
        """Find what was deleted before it could be listed: observed, and not there."""
        listed = [key for key in self._observed if namespace in ("", key.namespace)]
        for key in listed:
            obj = self._observed.pop(key)
            if self.informer.get(key) is None:
                self._hand_on(Event(EventType.DELETED, obj))

    def _hand_on(self, event: Event) -> None:
        for source in self._sources:
            source.on_event(event)


def _wants_kind(watch: Watch, resource: Resource) -> bool:
    return resource.gvk not in watch.blacklist


def _wants(watch: Watch, resource: Resource, obj: KubeObject) -> bool:
    """Whether an object is a dependent that the watch wants."""
    if not _wants_kind(watch, resource) or next(owner_keys(obj, watch.gvk), None) is None:
        return False
    return resource.namespaced or watch.watch_cluster_scoped_resources or is_referenced(obj, watch.gvk)


def is_event_kind(gvk: GroupVersionKind) -> bool:
    """Whether a kind is that of Kubernetes Events, which are never dependents.

    An Event is about an object and no part of it: it should outlive the deletion that it reports, and one that a run
    writes must not start the next run.
    """
    return gvk.kind == "Event" and gvk.group in _EVENT_GROUPS
