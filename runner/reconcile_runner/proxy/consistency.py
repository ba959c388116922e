"""Read-your-writes: whether a cache shows everything that a run has written.

ResourceVersions are compared for equality alone: a cache has caught up when it has seen the version that the write
made. Where the API server's answer does not say which version that is, the rest of the run does not read the kind from
the cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol, TypeAlias

from reconcile_runner.apimachinery.objects import KubeObject, ObjectKey, resource_version, uid

Storage: TypeAlias = tuple[str, str]
"""Group and plural of a kind: versions of one kind are stored as one."""


class SeenObjects(Protocol):
    """The objects of one kind in a cache. ``cache.informer.Informer`` is one."""

    def get(self, key: ObjectKey) -> KubeObject | None:
        """Return an object, or None."""

    def has_seen(self, version: str) -> bool:
        """Tell whether a resourceVersion is among the last ones.

        False means unknown, not unseen.
        """


@dataclass(frozen=True, slots=True)
class _Written:
    """A write that succeeded.

    ``uid`` is the deleted object's, else empty. ``version`` is empty where the answer had none.
    """

    key: ObjectKey
    uid: str
    version: str

    def is_shown_by(self, objects: SeenObjects) -> bool:
        if self.version and objects.has_seen(self.version):
            return True
        now = objects.get(self.key)
        if self.uid:
            return now is None or uid(now) != self.uid
        return now is not None and resource_version(now) == self.version


class Write:
    """A write under way. Until one of its methods is called, its outcome is unknown."""

    def __init__(self) -> None:
        self.outcome: _Written | None = None
        self.is_known = False

    def did_nothing(self) -> None:
        """Record that nothing was changed: the write was refused, or a dry run."""
        self.is_known = True

    def answered(self, key: ObjectKey, answer: KubeObject, *, deleted: bool) -> None:
        """Record the API server's answer to a write of ``key``.

        It is the object, or for a deletion a ``Status``.
        """
        version = resource_version(answer)
        gone = ""
        if deleted:
            gone = uid(answer) or str((answer.get("details") or {}).get("uid") or "")
        if version or gone:
            self.outcome, self.is_known = _Written(key, gone, version), True


class RunWrites:
    """The writes of one run."""

    def __init__(self) -> None:
        self._under_way: Counter[Storage] = Counter()
        self._unshown: dict[Storage, list[_Written]] = {}
        self._uncertain: set[Storage] = set()

    @contextmanager
    def writing(self, storage: Storage) -> Iterator[Write]:
        """Yield the write that the block makes; the block records how it ended."""
        write = Write()
        self._under_way[storage] += 1
        try:
            yield write
        finally:
            self._under_way[storage] -= 1
            if not write.is_known:
                self._uncertain.add(storage)
            elif write.outcome is not None:
                self._unshown.setdefault(storage, []).append(write.outcome)

    def are_shown_by(self, objects: SeenObjects, storage: Storage) -> bool:
        """Tell whether a kind's cache shows all that the run wrote of it."""
        if self._under_way[storage] or storage in self._uncertain:
            return False
        unshown = [written for written in self._unshown.get(storage, ()) if not written.is_shown_by(objects)]
        self._unshown[storage] = unshown
        return not unshown


def changed_nothing(status: int) -> bool:
    """Tell whether an HTTP status means that a write was refused as a whole."""
    return HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.REQUEST_TIMEOUT
