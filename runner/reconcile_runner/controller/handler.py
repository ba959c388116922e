"""Handlers: pure functions from an event to the requests that it makes.

What matches a trigger is looked up in an index of the cache: an event costs the same with 10 objects or 100,000.
"""

from __future__ import annotations

from reconcile_runner.apimachinery.objects import GroupVersionKind, key_of
from reconcile_runner.apimachinery.owners import owner_keys
from reconcile_runner.cache.event import Event
from reconcile_runner.cache.informer import Indexer
from reconcile_runner.controller.reconcile import Request
from reconcile_runner.watches.watch import NamespaceScope, Trigger


def for_object(event: Event) -> tuple[Request, ...]:
    """Return the request for the event's own object."""
    return (key_of(event.object),)


def for_trigger(trigger: Trigger, indexer: Indexer, event: Event) -> tuple[Request, ...]:
    """Return the requests for the objects that match the event's object, each once.

    An update counts with the values before and after it, so that an object that no longer matches is reconciled too; a
    deletion with the last known ones. With ``namespace: same`` only objects in the event object's namespace match.
    """
    source = trigger.match.source
    values = source.values(event.object)
    if event.old is not None:
        values |= source.values(event.old)
    matching = dict.fromkeys(key for value in sorted(values) for key in indexer.lookup(value))
    if trigger.namespace is NamespaceScope.SAME:
        namespace = key_of(event.object).namespace
        return tuple(key for key in matching if key.namespace == namespace)
    return tuple(matching)


def for_owners(gvk: GroupVersionKind, event: Event) -> tuple[Request, ...]:
    """Return the requests for owners that the event's object has or had, each once.

    ``gvk`` is the owners' kind. Some requests may name no object: an owner reference does not say in which namespace
    its owner is (``owners.owner_keys``).
    """
    states = (event.object, event.old) if event.old is not None else (event.object,)
    return tuple(dict.fromkeys(key for state in states for key in owner_keys(state, gvk)))
