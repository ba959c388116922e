"""A cache without reflectors: a test fills it."""

from __future__ import annotations

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.cache.cache import ALL_NAMESPACES, Cache, Informer, NamespaceStore
from reconcile_runner.client.discovery import Discovery
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import FakeClock


class StillCache(Cache):
    """The real cache, which is never run."""

    def __init__(self) -> None:
        client, clock = FakeClient(), FakeClock()
        super().__init__(client, Discovery(client, clock), clock)

    @property
    def optional(self) -> dict[GroupVersionKind, Informer]:
        """Return the informers that were asked for without being required."""
        return {gvk: entry.informer for gvk, entry in self._optional.items()}

    def store(self, gvk: GroupVersionKind) -> NamespaceStore:
        """Return what a reflector of all namespaces would write into."""
        informer = self.required_informer(gvk) or self.optional[gvk]
        return NamespaceStore(informer, ALL_NAMESPACES)
