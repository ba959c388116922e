"""The real caches of kinds, without the informers that would fill them: a test does."""

from __future__ import annotations

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.cache.cache import ALL_NAMESPACES, Informer, NamespaceStore


class FakeKinds:
    """Implements ``reconcile_runner.controller.source.Kinds``."""

    def __init__(self) -> None:
        self._kinds: dict[GroupVersionKind, Informer] = {}
        self.whole: dict[GroupVersionKind, bool] = {}

    def require(self, gvk: GroupVersionKind, *, whole: bool) -> Informer:
        kind = self._kinds.setdefault(gvk, Informer(gvk, metadata_only=not whole))
        if whole:
            kind.metadata_only = False
        self.whole[gvk] = not kind.metadata_only
        return kind

    def store(self, gvk: GroupVersionKind) -> NamespaceStore:
        """Return what an informer of all namespaces would write into."""
        return NamespaceStore(self._kinds[gvk], ALL_NAMESPACES)
