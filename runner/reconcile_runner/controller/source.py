"""Sources: events of watched kinds become requests of one watch.

A source takes the events of one kind. Its predicate says which of them matter, its handler which requests they make.
``KindSource`` is what kube-rs calls ``for``, ``TriggerSource`` is ``watches``, ``DependentSource`` is ``owns``.

Nothing is lost, whichever kind is listed first:

- The first list of the watch's own kind enqueues every object, in the background.
- The first list of a trigger's kind enqueues nothing. When it is complete, every object is enqueued once more; the
  queue merges that with what waits. So no object keeps the result of a run that started before the list.
- After that, the cache reports every change, also those that a later list shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, TypeAlias

from reconcile_runner.apimachinery.objects import (
    GroupVersionKind,
    KubeObject,
    ObjectKey,
    is_deleting,
    key_of,
    labels,
    metadata,
)
from reconcile_runner.cache.cache import Cache
from reconcile_runner.cache.event import Event, EventType
from reconcile_runner.cache.informer import Indexer, Informer
from reconcile_runner.cache.lister import Lister
from reconcile_runner.controller import handler, predicate
from reconcile_runner.controller.reconcile import Request
from reconcile_runner.controller.workqueue import Priority, WorkQueue
from reconcile_runner.logs import LogKey, get_logger
from reconcile_runner.metrics import Metrics
from reconcile_runner.recorder import EventRecorder, KubeEventType, Reason
from reconcile_runner.watches.watch import Trigger, Watch

Predicate: TypeAlias = Callable[[Event], bool]
Handler: TypeAlias = Callable[[Event], Collection[Request]]

MAX_REQUESTS_REPORTED: Final = 10
"""Requests at most that a log line names and that get a Kubernetes Event."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Primary:
    """The objects that a watch reconciles, and the queue in which they wait."""

    watch: Watch
    objects: Lister
    queue: WorkQueue

    def is_selected(self, key: ObjectKey) -> bool:
        """Whether the watch's selector takes an object; without a selector, any key."""
        if not self.watch.selector.requirements:
            return True
        obj = self.objects.get(key)
        return obj is not None and self.watch.selector.matches(labels(obj))


@dataclass(frozen=True, slots=True)
class Wording:
    """The message and the object's keys in a log line about an event."""

    message: str
    gvk_key: str
    object_key: str


TRIGGER_WORDING: Final = Wording("trigger object issued an event", "trigger_gvk", "trigger_object")
DEPENDENT_WORDING: Final = Wording("dependent issued an event", "dependent_gvk", "dependent")


class Source:
    """Enqueues objects of one watch for events of one kind.

    ``predicate`` says which events matter, ``handler`` which objects they reconcile.
    """

    def __init__(self, primary: Primary, predicate: Predicate, handler: Handler) -> None:
        self._primary = primary
        self._predicate = predicate
        self._handler = handler

    def on_event(self, event: Event) -> None:
        """Enqueue what an event of the kind reconciles."""
        if self._predicate(event):
            self._enqueue(event, self._handler(event))

    def _enqueue(self, event: Event, requests: Collection[Request]) -> None:
        for request in requests:
            self._primary.queue.add(request, _priority_of(event))


class KindSource(Source):
    """The watch's own kind: an event reconciles its own object."""

    def __init__(self, primary: Primary, metrics: Metrics) -> None:
        super().__init__(primary, partial(predicate.matters_to_watch, primary.watch), handler.for_object)
        self._metrics = metrics

    def on_event(self, event: Event) -> None:
        """Enqueue the event's object, and show its creation time in the metrics."""
        self._show_creation_time(event)
        super().on_event(event)

    def _enqueue(self, event: Event, requests: Collection[Request]) -> None:
        if predicate.resets_backoff(event):
            for request in requests:
                self._primary.queue.forget(request)
        super()._enqueue(event, requests)

    def _show_creation_time(self, event: Event) -> None:
        gvk, key = self._primary.watch.gvk, key_of(event.object)
        if event.type is EventType.DELETED:
            self._metrics.resource_gone(gvk, key)
            return
        created_at = _creation_time(event.object)
        if created_at is not None:
            self._metrics.resource_exists(gvk, key, created_at)


class RelatedSource(Source):
    """A kind other than the watch's own. What it enqueues is selected, and reported."""

    def __init__(
        self, primary: Primary, gvk: GroupVersionKind, wording: Wording, predicate: Predicate, handler: Handler
    ) -> None:
        super().__init__(primary, predicate, handler)
        self._gvk = gvk
        self._wording = wording

    def _enqueue(self, event: Event, requests: Collection[Request]) -> None:
        selected = [request for request in requests if self._primary.is_selected(request)]
        if selected:
            super()._enqueue(event, selected)
            self._report(event, selected)

    def _report(self, event: Event, requests: list[Request]) -> None:
        """Log which object issued an event, and what is reconciled for it."""
        named = [str(request) for request in requests[:MAX_REQUESTS_REPORTED]]
        keys = {
            LogKey.GVK.value: str(self._primary.watch.gvk),
            LogKey.EVENT_TYPE.value: str(event.type),
            self._wording.gvk_key: str(self._gvk),
            self._wording.object_key: str(key_of(event.object)),
        }
        shown = named if len(named) == len(requests) else [*named, "…"]
        _log.info(self._wording.message, **keys, requests=len(requests), objects=shown)


class TriggerSource(RelatedSource):
    """A trigger's kind: an event reconciles the objects that match the trigger."""

    def __init__(
        self, primary: Primary, trigger: Trigger, indexer: Indexer, metrics: Metrics, recorder: EventRecorder
    ) -> None:
        super().__init__(
            primary,
            trigger.gvk,
            TRIGGER_WORDING,
            partial(predicate.matters_to_trigger, trigger),
            partial(handler.for_trigger, trigger, indexer),
        )
        self._metrics = metrics
        self._recorder = recorder
        self._has_synced = False

    def on_event(self, event: Event) -> None:
        """Enqueue what the event reconciles; the first list is left to ``on_synced``."""
        if self._has_synced or not event.is_initial:
            super().on_event(event)

    def on_synced(self) -> None:
        """Enqueue every object of the watch, once the trigger's kind is listed."""
        self._has_synced = True
        keys = self._primary.objects.keys()
        selected = [key for key in keys if self._primary.is_selected(key)]
        again = sum(self._primary.queue.add(key, Priority.BACKGROUND) for key in selected)
        if again:
            _log.info(
                "trigger kind was listed after objects had been reconciled: reconciling them again",
                **{LogKey.GVK.value: str(self._primary.watch.gvk), TRIGGER_WORDING.gvk_key: str(self._gvk)},
                requests=again,
            )

    def _report(self, event: Event, requests: list[Request]) -> None:
        super()._report(event, requests)
        self._metrics.trigger_fired(self._primary.watch.controller_name, self._gvk, len(requests))
        message = f"{self._gvk.kind} {key_of(event.object)} was {event.type}"
        for request in requests[:MAX_REQUESTS_REPORTED]:
            obj = self._primary.objects.get(request)
            if obj is not None:
                self._recorder.record(obj, KubeEventType.NORMAL, Reason.TRIGGERED, message)


class DependentSource(RelatedSource):
    """A kind of dependents: an event reconciles the owners that are there.

    ``metadata_only``: nothing but the metadata of dependents is known.
    """

    def __init__(self, primary: Primary, gvk: GroupVersionKind, metrics: Metrics, *, metadata_only: bool) -> None:
        super().__init__(
            primary,
            gvk,
            DEPENDENT_WORDING,
            partial(predicate.matters_to_owner, metadata_only=metadata_only),
            self._owners,
        )
        self._metrics = metrics

    def _enqueue(self, event: Event, requests: Collection[Request]) -> None:
        """Enqueue owners. Those elsewhere are asked for within a budget: anybody can name anything as an owner."""
        namespace = key_of(event.object).namespace
        foreign = [request for request in requests if namespace not in ("", request.namespace)]
        super()._enqueue(event, [request for request in requests if request not in foreign])
        queue = self._primary.queue
        asked = [key for key in foreign if self._primary.is_selected(key) and queue.add_foreign(key, namespace)]
        if asked:
            self._report(event, asked)

    def _report(self, event: Event, requests: list[Request]) -> None:
        super()._report(event, requests)
        self._metrics.dependent_changed(self._primary.watch.controller_name, self._gvk)

    def _owners(self, event: Event) -> list[Request]:
        found = handler.for_owners(self._primary.watch.gvk, event)
        return [key for key in found if self._primary.objects.get(key) is not None]


class WatchSources:
    """The sources of a watch's own kind and of its triggers' kinds.

    Construct it before the cache runs.
    """

    def __init__(self, watch: Watch, cache: Cache, queue: WorkQueue, metrics: Metrics, recorder: EventRecorder) -> None:
        self._watch = watch
        self._informer = cache.get_informer(watch.gvk, whole=True, required=True)
        primary = Primary(watch, self._informer, queue)
        self._kind = KindSource(primary, metrics)
        self._triggers: list[tuple[Informer, TriggerSource]] = []
        for trigger in watch.triggers:
            informer = cache.get_informer(trigger.gvk, whole=trigger.needs_whole_objects, required=True)
            indexer = self._informer.index_by(trigger.match.field)
            self._triggers.append((informer, TriggerSource(primary, trigger, indexer, metrics, recorder)))

    def start(self) -> None:
        """Take events from now on."""
        self._informer.add_event_handler(self._kind.on_event)
        for informer, source in self._triggers:
            informer.add_event_handler(source.on_event)

    async def wait_synced(self) -> None:
        """Wait until all kinds are listed, and every object is enqueued after that.

        It waits for as long as a kind is missing. A controller may run already; the price is a second run of what it
        reconciled.
        """
        await self._informer.wait_synced()
        async with asyncio.TaskGroup() as group:
            for informer, source in self._triggers:
                name = f"{self._watch.controller_name} waits for {informer.gvk}"
                group.create_task(_wait_for_trigger(informer, source), name=name)


async def _wait_for_trigger(informer: Informer, source: TriggerSource) -> None:
    await informer.wait_synced()
    source.on_synced()


def _priority_of(event: Event) -> Priority:
    # Someone waits for what is being deleted, also when the operator has just started.
    return Priority.BACKGROUND if event.is_initial and not is_deleting(event.object) else Priority.LIVE


def _creation_time(obj: KubeObject) -> float | None:
    """Return ``metadata.creationTimestamp`` in seconds since 1970, if it can be read."""
    text = metadata(obj).get("creationTimestamp")
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except ValueError:
        return None
