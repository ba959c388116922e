"""The source of one watch's requests: informer events -> predicates -> handler -> workqueue.

``manager`` starts it before the caches run, and runs the ``controller`` once ``wait_synced`` returned. Nothing is lost
whatever syncs first:

- Each object of the watch's own kind is queued when the first list shows it, in the background.
- Of a linked kind, objects of the first list say nothing that the first run of each object does not see, provided that
  the run starts after that list. ``wait_synced`` makes sure of it: when the list is there, it queues every object of
  the watch once more. Where none has run yet, which is the ordinary start, that joins what is queued already and costs
  no run. Where runs came first (the linked kind's CRD was installed late, or could not be listed for a while), they are
  made good, also for linked objects that came and went before they could be seen.
- Afterwards the cache reports every change, also those that a later list shows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Protocol

from reconcile_runner.apimachinery.fieldpath import FieldPath
from reconcile_runner.apimachinery.objects import (
    GroupVersionKind,
    KubeObject,
    ObjectKey,
    is_deleting,
    key_of,
    labels,
    metadata,
)
from reconcile_runner.cache.event import Event, EventType, Listener
from reconcile_runner.controller import handler, predicate
from reconcile_runner.controller.reconcile import Request
from reconcile_runner.controller.workqueue import Priority, WorkQueue
from reconcile_runner.logs import LogKey, get_logger
from reconcile_runner.metrics import Metrics
from reconcile_runner.recorder import EventRecorder, Reason, Severity
from reconcile_runner.watches.watch import Trigger, Watch

_REQUESTS_LOGGED: Final = 10
"""A log line names so many requests at most, and so many objects get a Kubernetes Event."""

_log = get_logger(__name__)


class Objects(Protocol):
    """What a source needs of one kind's cache. ``cache.Informer`` is one."""

    def get(self, key: ObjectKey) -> KubeObject | None:
        """Return an object, or None."""

    def keys(self) -> Iterable[ObjectKey]:
        """Return the keys of all objects."""

    async def wait_synced(self) -> None:
        """Wait for the first complete list."""

    def add_event_handler(self, listener: Listener) -> None:
        """Have events told to ``listener``."""

    def index_by(self, path: FieldPath) -> handler.Index:
        """Return an index by the values of a field, the same for the same path."""


class Kinds(Protocol):
    """What a source needs of the cache of all kinds. ``cache.Cache`` is one."""

    def require(self, gvk: GroupVersionKind, *, whole: bool) -> Objects:
        """Return a kind's cache; ``whole`` where more than ``metadata`` is read."""


@dataclass(slots=True)
class _Link:
    """A trigger, the cache of its kind, and where it looks up the objects that an event reconciles."""

    trigger: Trigger
    objects: Objects
    index: handler.Index
    synced: bool = False


class Source:
    """Feeds the queue of one watch. Constructed before the caches run."""

    def __init__(self, watch: Watch, kinds: Kinds, queue: WorkQueue, metrics: Metrics, recorder: EventRecorder) -> None:
        self._watch = watch
        self._recorder = recorder
        self._queue = queue
        self._metrics = metrics
        self._objects = kinds.require(watch.gvk, whole=True)
        self._links = [
            _Link(
                trigger,
                kinds.require(trigger.gvk, whole=trigger.needs_whole_objects),
                self._objects.index_by(trigger.match.field),
            )
            for trigger in watch.triggers
        ]

    def start(self) -> None:
        """Listen to the watch's kind and to the linked ones."""
        self._objects.add_event_handler(self._on_event)
        for link in self._links:
            link.objects.add_event_handler(partial(self._on_linked_event, link))

    async def wait_synced(self) -> None:
        """Wait until all kinds are listed and every object is queued for a run that starts after that.

        Waits for as long as a kind is missing. A controller may run already meanwhile; the price is a second run of
        what it reconciled.
        """
        await self._objects.wait_synced()
        async with asyncio.TaskGroup() as group:
            for link in self._links:
                name = f"{self._watch.controller_name} waits for {link.trigger.gvk}"
                group.create_task(self._wait_for_link(link), name=name)

    def _on_event(self, event: Event) -> None:
        self._show_creation_time(event)
        if not predicate.matters_to_watch(self._watch, event):
            return
        request = handler.for_object(event)
        if predicate.is_wanted_afresh(event):
            self._queue.forget(request)
        self._queue.add(request, _priority_of(event))

    def _on_linked_event(self, link: _Link, event: Event) -> None:
        # The first list is made good as a whole by `_wait_for_link`.
        if (event.initial and not link.synced) or not predicate.matters_to_trigger(link.trigger, event):
            return
        found = handler.for_trigger(link.trigger, link.index, event)
        requests = [request for request in found if self._is_selected(request)]
        if not requests:
            return
        for request in requests:
            self._queue.add(request, _priority_of(event))
        self._metrics.trigger_fired(self._watch.controller_name, link.trigger.gvk, len(requests))
        self._log_linked_event(link.trigger, event, requests)
        self._record_linked_event(link.trigger, event, requests)

    async def _wait_for_link(self, link: _Link) -> None:
        await link.objects.wait_synced()
        link.synced = True
        selected = [key for key in self._objects.keys() if self._is_selected(key)]  # noqa: SIM118 - not a mapping
        again = sum(self._queue.add(key, Priority.BACKGROUND) for key in selected)
        if again:
            _log.info(
                "linked kind was listed after objects had been reconciled: reconciling them again",
                **{LogKey.GVK.value: str(self._watch.gvk)},
                linked_gvk=str(link.trigger.gvk),
                requests=again,
            )

    def _is_selected(self, request: Request) -> bool:
        if not self._watch.selector.requirements:
            return True
        obj = self._objects.get(request)
        return obj is not None and self._watch.selector.matches(labels(obj))

    def _show_creation_time(self, event: Event) -> None:
        key = key_of(event.object)
        if event.type is EventType.DELETED:
            self._metrics.resource_gone(self._watch.gvk, key)
            return
        created_at = _creation_time(event.object)
        if created_at is not None:
            self._metrics.resource_exists(self._watch.gvk, key, created_at)

    def _log_linked_event(self, trigger: Trigger, event: Event, requests: list[Request]) -> None:
        named = [str(request) for request in requests[:_REQUESTS_LOGGED]]
        _log.info(
            "linked object issued an event",
            **{LogKey.GVK.value: str(self._watch.gvk), LogKey.EVENT_TYPE.value: str(event.type)},
            linked_gvk=str(trigger.gvk),
            linked_object=str(key_of(event.object)),
            requests=len(requests),
            objects=named if len(named) == len(requests) else [*named, "…"],
        )

    def _record_linked_event(self, trigger: Trigger, event: Event, requests: list[Request]) -> None:
        message = f"{trigger.gvk.kind} {key_of(event.object)} was {event.type}"
        for request in requests[:_REQUESTS_LOGGED]:
            obj = self._objects.get(request)
            if obj is not None:
                self._recorder.record(obj, Severity.NORMAL, Reason.TRIGGERED, message)


def _priority_of(event: Event) -> Priority:
    # Somebody waits for what is being deleted, also when the operator has just started.
    return Priority.BACKGROUND if event.initial and not is_deleting(event.object) else Priority.LIVE


def _creation_time(obj: KubeObject) -> float | None:
    """Return ``metadata.creationTimestamp`` in seconds since 1970, or None where there is none that can be read."""
    text = metadata(obj).get("creationTimestamp")
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except ValueError:
        return None
