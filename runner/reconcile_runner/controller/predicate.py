"""Predicates: pure functions that tell which events matter.

The rules for a watch's own kind are upstream's (controller-runtime's GenerationChanged, AnnotationChanged and label
selector), with three additions for events that upstream loses: an object that comes to match the selector, one that was
replaced by another of the same name, and the deletion of one that no longer matched (it may have left a directory).
"""

from __future__ import annotations

from typing import Any, Final

from reconcile_runner.apimachinery import objects
from reconcile_runner.apimachinery.objects import (
    KubeObject,
    generation,
    is_deleting,
    labels,
    metadata,
    resource_version,
    uid,
)
from reconcile_runner.cache.event import Event, EventType
from reconcile_runner.watches.annotations import asks_for_a_run
from reconcile_runner.watches.watch import Trigger, Watch

_BOOKKEEPING: Final = frozenset({"resourceVersion", "managedFields", "selfLink"})
"""Fields of ``metadata`` that the API server keeps for itself.

``generation`` is not one of them: it tells of the spec.
"""

_NOT_THE_SPEC: Final = frozenset({"metadata", "status"})


def matters_to_watch(watch: Watch, event: Event) -> bool:
    """Whether an event of a watch's own kind reconciles its object."""
    if event.type is EventType.DELETED:
        return True
    if not watch.selector.matches(labels(event.object)):
        return False
    old = event.old
    if event.type is EventType.CREATED or old is None:
        return True
    return (
        _generation_changed(event.object, old)
        or (is_deleting(event.object) and not is_deleting(old))
        or asks_for_a_run(event.object, old)
        or (watch.watch_annotations_changes and objects.annotations(event.object) != objects.annotations(old))
        or not watch.selector.matches(labels(old))
    )


def resets_backoff(event: Event) -> bool:
    """Whether an event makes earlier failures irrelevant.

    It does if the spec changed, or if someone asked for a run.
    """
    old = event.old
    if event.type is not EventType.UPDATED or old is None:
        return event.type is EventType.CREATED
    if asks_for_a_run(event.object, old) or is_deleting(event.object) != is_deleting(old):
        return True
    if generation(event.object) == 0:
        return _differs_beyond_status(event.object, old)
    return _generation_changed(event.object, old)


def matters_to_trigger(trigger: Trigger, event: Event) -> bool:
    """Whether an event of a trigger's kind reconciles the objects that match it."""
    old = event.old
    if event.type is not EventType.UPDATED or old is None:
        return event.type in trigger.events
    new = event.object
    if _is_replaced(new, old):
        # Deleted and created again while no watch was open: the event that was asked for may have been missed.
        return True
    if EventType.UPDATED not in trigger.events:
        return False
    source = trigger.match.source
    if source.values(new) != source.values(old):
        return True
    if trigger.on is None:
        return _differs_beyond_status(new, old)
    return any(path.subtree(new) != path.subtree(old) for path in trigger.on)


def matters_to_owner(event: Event, *, metadata_only: bool) -> bool:
    """Whether an event of a dependent reconciles its owners.

    Upstream's rules: a creation does not (the owner's run made it), a deletion does, an update does unless only the
    status, or metadata that the API server keeps for itself, changed. Where nothing but ``metadata`` is known, the
    generation stands for the rest of the object; kinds without generations are then taken to have no status.
    """
    old = event.old
    if event.type is not EventType.UPDATED or old is None:
        return event.type is EventType.DELETED
    if _is_replaced(event.object, old):
        return True
    if metadata_only and generation(event.object) == 0:
        return resource_version(event.object) != resource_version(old)
    return _differs_beyond_status(event.object, old)


def _generation_changed(new: KubeObject, old: KubeObject) -> bool:
    """Whether the spec changed.

    Kinds without generations cannot tell. Each update of them counts, except one of finalizers alone: the reconciler
    itself writes these.
    """
    if generation(new) != generation(old) or _is_replaced(new, old):
        return True
    return generation(new) == 0 and not _differ_in_finalizers_alone(new, old)


def _differ_in_finalizers_alone(new: KubeObject, old: KubeObject) -> bool:
    if metadata(new).get("finalizers") == metadata(old).get("finalizers"):
        return False
    aside = _BOOKKEEPING | {"finalizers"}
    return _without(metadata(new), aside) == _without(metadata(old), aside) and (
        _without(new, frozenset({"metadata"})) == _without(old, frozenset({"metadata"}))
    )


def _is_replaced(new: KubeObject, old: KubeObject) -> bool:
    return uid(new) != uid(old)


def _differs_beyond_status(new: KubeObject, old: KubeObject) -> bool:
    return _without(new, _NOT_THE_SPEC) != _without(old, _NOT_THE_SPEC) or (
        _without(metadata(new), _BOOKKEEPING) != _without(metadata(old), _BOOKKEEPING)
    )


def _without(mapping: dict[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    """Return a mapping without some keys: a shallow copy, compared value by value."""
    return {key: value for key, value in mapping.items() if key not in keys}
