"""Predicates: pure functions that tell which events matter.

The rules for a watch's own kind are upstream's (controller-runtime's GenerationChanged, AnnotationChanged and label
selector), with three additions for events that upstream loses: an object that comes to match the selector, one that was
replaced by another of the same name, and the deletion of one that no longer matched (it may have left a directory).
"""

from __future__ import annotations

from typing import Any, Final

from reconcile_runner.apimachinery import objects
from reconcile_runner.apimachinery.conditions import conditions_of, without_own
from reconcile_runner.apimachinery.objects import (
    KubeObject,
    generation,
    has_same_content,
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

    Kinds without generations cannot tell. Each update of them counts, except one of finalizers and of the operator's
    own conditions alone: the reconciler itself writes these.
    """
    if _is_replaced(new, old):
        return True
    if generation(new) == 0:
        return not _is_own_write(new, old)
    return generation(new) != generation(old) and not _is_status_write(new, old)


def _is_status_write(new: KubeObject, old: KubeObject) -> bool:
    """Whether the generation is new because of the status, as in a kind without the subresource.

    One write raises it by one. More is more than one write, of which one may have been of the spec, and another may
    have undone it: that does not matter once the newest generation has its verdict.
    """
    return (
        new.get("status") != old.get("status")
        and has_same_content(new, old)
        and is_deleting(new) == is_deleting(old)
        and (generation(new) == generation(old) + 1 or _is_judged(new))
    )


def _is_judged(obj: KubeObject) -> bool:
    status = obj.get("status")
    return isinstance(status, dict) and status.get("observedGeneration") == generation(obj)


def _is_own_write(new: KubeObject, old: KubeObject) -> bool:
    """Whether nothing changed but what the reconciler itself writes, and that did."""
    if metadata(new).get("finalizers") == metadata(old).get("finalizers") and new.get("status") == old.get("status"):
        return False
    return _written_by_others(new) == _written_by_others(old)


def _written_by_others(obj: KubeObject) -> KubeObject:
    """Return an object without what the reconciler and the API server write."""
    others = {**obj, "metadata": _without(metadata(obj), _BOOKKEEPING | {"finalizers"})}
    status = others.pop("status", None)
    if isinstance(status, dict):
        conditions = without_own(conditions_of(obj))
        others["status"] = {**_without(status, frozenset({"observedGeneration"})), "conditions": conditions}
    return others


def _is_replaced(new: KubeObject, old: KubeObject) -> bool:
    return uid(new) != uid(old)


def _differs_beyond_status(new: KubeObject, old: KubeObject) -> bool:
    aside = _BOOKKEEPING | {"generation"} if _is_status_write(new, old) else _BOOKKEEPING
    return _without(new, _NOT_THE_SPEC) != _without(old, _NOT_THE_SPEC) or (
        _without(metadata(new), aside) != _without(metadata(old), aside)
    )


def _without(mapping: dict[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    """Return a mapping without some keys: a shallow copy, compared value by value."""
    return {key: value for key, value in mapping.items() if key not in keys}
