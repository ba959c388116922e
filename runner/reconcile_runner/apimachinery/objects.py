"""Kinds, keys and metadata of Kubernetes objects.

Lowest layer: pure functions over decoded JSON, no I/O. Objects are never turned into models, so nothing that the API
server sent can be lost on the way back.
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self, TypeAlias

KubeObject: TypeAlias = dict[str, Any]
"""A decoded Kubernetes object: string keys, JSON values."""

_NO_CONTENT: Final = frozenset({"apiVersion", "kind", "metadata", "status"})


@dataclass(frozen=True, slots=True, order=True)
class GroupVersionKind:
    """A kind's full name. ``group`` is empty for the core group."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        """Return ``group/version``, or ``version`` alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        """Return ``group/version, Kind=Kind``.

        This is controller-runtime's spelling, which upstream uses as a metric label.
        """
        return f"{self.group}/{self.version}, Kind={self.kind}"

    @classmethod
    def of(cls, obj: KubeObject) -> Self:
        """Return the kind that an object says it is."""
        group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
        return cls(group, version, str(obj.get("kind", "")))


class ObjectKey(NamedTuple):
    """An object's place among those of its kind.

    ``namespace`` is empty for cluster-scoped objects.
    """

    namespace: str
    name: str

    def __str__(self) -> str:
        """Return ``namespace/name``, or ``name`` alone for a cluster-scoped object."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def metadata(obj: KubeObject) -> dict[str, Any]:
    """Return ``metadata``, or an empty mapping where there is none."""
    return obj.get("metadata") or {}


def key_of(obj: KubeObject) -> ObjectKey:
    """Return the object's key."""
    meta = metadata(obj)
    return ObjectKey(meta.get("namespace") or "", meta.get("name") or "")


def uid(obj: KubeObject) -> str:
    """Return ``metadata.uid``, or an empty string."""
    return metadata(obj).get("uid") or ""


def resource_version(obj: KubeObject) -> str:
    """Return ``metadata.resourceVersion``, or an empty string.

    It is opaque: compare for equality only.
    """
    return metadata(obj).get("resourceVersion") or ""


def generation(obj: KubeObject) -> int:
    """Return ``metadata.generation``, or 0 for kinds that have none."""
    return metadata(obj).get("generation") or 0


def labels(obj: KubeObject) -> dict[str, str]:
    """Return ``metadata.labels``, or an empty mapping."""
    return metadata(obj).get("labels") or {}


def annotations(obj: KubeObject) -> dict[str, str]:
    """Return ``metadata.annotations``, or an empty mapping."""
    return metadata(obj).get("annotations") or {}


def is_deleting(obj: KubeObject) -> bool:
    """Tell whether deletion was asked for and waits for finalizers."""
    return bool(metadata(obj).get("deletionTimestamp"))


def has_same_content(obj: KubeObject, other: KubeObject) -> bool:
    """Tell whether two states of a whole object differ in metadata and status at most."""
    return _content(obj) == _content(other)


def _content(obj: KubeObject) -> KubeObject:
    return {name: value for name, value in obj.items() if name not in _NO_CONTENT}
