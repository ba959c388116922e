"""What happened to an object, and the Store that a reflector writes into.

``reflector`` calls a ``Store``; ``informer`` implements it, works out what changed and hands an ``Event`` to each
``Listener`` (``source``). An event never travels further than ``handler``: what leaves it is a ``Request``.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from reconcile_runner.apimachinery.objects import KubeObject


class EventType(enum.StrEnum):
    """What happened, in the words of ``triggers[].events``."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Event:
    """One change of one object.

    ``object`` is the newest state (for a deletion: the last one known), ``old`` the state before an update, else None.
    ``initial`` marks an object seen in the first list, and a resync: it is served after live changes.
    """

    type: EventType
    object: KubeObject
    old: KubeObject | None = None
    initial: bool = False


Listener: TypeAlias = Callable[[Event], None]
"""Called in the event loop for each event, in order; must not block and must not raise."""


class Store(Protocol):
    """What an informer tells of one kind in one scope (all namespaces, or one)."""

    def replace(self, objects: Iterable[KubeObject]) -> None:
        """Take a complete list: what is stored but not listed was deleted meanwhile. Marks the store as synced."""

    def upsert(self, obj: KubeObject) -> None:
        """Take an ADDED or MODIFIED object of a watch."""

    def delete(self, obj: KubeObject) -> None:
        """Take a DELETED object of a watch (its last state)."""
