"""What tests of the cache share: Foos as an API server sends them, and what an informer tells of them."""

from __future__ import annotations

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.cache.event import Event
from reconcile_runner.cache.informer import Informer

FOO = GroupVersionKind("example.com", "v1", "Foo")


def foo(name: str, version: int = 1, *, friend: str = "jack", namespace: str = "default", uid: str = "") -> KubeObject:
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid or f"uid-{namespace}-{name}",
            "resourceVersion": str(version),
            "managedFields": [{"manager": "kubectl"}],
        },
        "spec": {"name": friend},
    }


def key(name: str, namespace: str = "default") -> ObjectKey:
    return ObjectKey(namespace, name)


def is_synced(kind: Informer) -> bool:
    """Ask as a function, because mypy takes a property for a constant."""
    return kind.has_synced


def summary(events: list[Event]) -> list[tuple[str, str]]:
    told = [(event.type.value, event.object["metadata"]["name"]) for event in events]
    events.clear()
    return told
