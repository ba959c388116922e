"""Events of objects, and the Store that a reflector writes into.

An event travels no further than the handlers: what leaves them is a ``Request``.
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

    ``object`` is the newest state (of a deleted object: the last one known), ``old`` the state before an update, else
    None. ``is_initial``: the first list showed the object; live changes go before it.
    """

    type: EventType
    object: KubeObject
    old: KubeObject | None = None
    is_initial: bool = False


Listener: TypeAlias = Callable[[Event], None]
"""Called for each event, in order and in the event loop; must not block or raise."""


class Store(Protocol):
    """Takes the objects of one kind in one namespace, or in all."""

    def replace(self, objects: Iterable[KubeObject]) -> None:
        """Take a complete list: what is stored but not listed was deleted.

        The store has synced after that.
        """

    def upsert(self, obj: KubeObject) -> None:
        """Take an ADDED or MODIFIED object of a watch."""

    def delete(self, obj: KubeObject) -> None:
        """Take a DELETED object of a watch (its last state)."""
