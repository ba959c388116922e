"""Kinds that are followed, filled by tests instead of informers."""

from __future__ import annotations

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.cache.informer import ALL_NAMESPACES, Informer, NamespaceStore


class FakeFollowedKinds:
    """Implements ``reconcile_runner.controller.dependents.FollowedKinds``."""

    def __init__(self) -> None:
        self.kinds: dict[GroupVersionKind, Informer] = {}

    def follow(self, gvk: GroupVersionKind, *, whole: bool) -> Informer:
        return self.kinds.setdefault(gvk, Informer(gvk, metadata_only=not whole))

    def store(self, gvk: GroupVersionKind) -> NamespaceStore:
        """Return what an informer of all namespaces would write into."""
        return NamespaceStore(self.kinds[gvk], ALL_NAMESPACES)
