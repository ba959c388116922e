"""Lister: read access to the objects of one kind."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from reconcile_runner.apimachinery.objects import KubeObject, ObjectKey


class Lister(Protocol):
    """Reads the objects of one kind. ``cache.informer.Informer`` is one."""

    @property
    def has_synced(self) -> bool:
        """Whether there has been a complete list."""

    def get(self, key: ObjectKey) -> KubeObject | None:
        """Return an object, or None. It is shared: never change it."""

    def keys(self) -> Collection[ObjectKey]:
        """Return the keys of all objects."""
