"""The Protocol of the API client, and the types of its arguments.

``http`` implements it over aiohttp; the tests have one in memory. Paths are absolute and already escaped
(``discovery.Resource.path`` makes them); objects are decoded JSON. Methods are named as kubectl's verbs.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

from reconcile_runner.apimachinery.objects import KubeObject

ACCEPT_JSON: Final = "application/json"
"""Whole objects."""

# The plain type at the end is for aggregated API servers that cannot cut an object down to its metadata.
ACCEPT_PARTIAL: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
"""One object, or the objects of a watch, cut down to ``metadata``."""

ACCEPT_PARTIAL_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
"""A list whose items are cut down to ``metadata``."""

STALL_TIMEOUT: Final = 70.0
"""Seconds of silence that end a watch. The API server sends a bookmark about every 60 s, so a silent one is dead."""

PatchBody: TypeAlias = KubeObject | list[KubeObject]
"""An object for merge and apply, a list of operations for a JSON patch."""


class PatchType(enum.StrEnum):
    """How a patch is meant; the values are media types."""

    MERGE = "application/merge-patch+json"
    APPLY = "application/apply-patch+yaml"
    JSON = "application/json-patch+json"


class WatchEventType(enum.StrEnum):
    """What a watch says. ERROR is not among them: it is raised as an ``ApiError``."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One line of a watch.

    A bookmark's ``object`` holds nothing but its kind and ``metadata.resourceVersion``.
    """

    type: WatchEventType
    object: KubeObject


class ApiClient(Protocol):
    """Requests to the API server.

    Every method raises ``ApiError`` (or the subclass for its status) where the server answered with an error, and
    ``ApiUnreachableError`` where it did not answer. Nothing is retried, but a request refused with 401 is sent once
    more with credentials read again.
    """

    async def get(self, path: str, params: Mapping[str, str] | None = None, *, accept: str = ACCEPT_JSON) -> KubeObject:
        """Return an object or a list."""

    async def etag(self, path: str, *, accept: str, known: str = "") -> str:
        """Return the entity tag of what is at a path, empty where the server gives none.

        Where ``known``, an earlier one, still is it, the server need not send the rest.
        """

    async def create(self, path: str, body: KubeObject, *, params: Mapping[str, str] | None = None) -> KubeObject:
        """Create an object; return it as stored."""

    async def patch(
        self,
        path: str,
        body: PatchBody,
        *,
        patch_type: PatchType = PatchType.MERGE,
        params: Mapping[str, str] | None = None,
    ) -> KubeObject:
        """Change an object; return it as stored.

        ``APPLY`` needs ``fieldManager`` among ``params``.
        """

    async def update(self, path: str, body: KubeObject) -> KubeObject:
        """Replace a whole object, if it still has the ``resourceVersion`` of ``body``.

        Return it as stored.

        Raises ``ConflictError`` where it changed, or was deleted, since ``body`` was read.
        """

    async def delete(self, path: str, *, params: Mapping[str, str] | None = None) -> KubeObject:
        """Delete an object; return the answer, which is a ``Status`` or the object itself."""

    def watch(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        accept: str = ACCEPT_JSON,
        stall_timeout: float = STALL_TIMEOUT,
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield the events of a list until the server ends the watch.

        ``watch=true`` is added to ``params``. ``on_open`` is called once the server has accepted the watch, long
        before a quiet one has anything to say. An ERROR event is raised as ``ApiError`` (code 410: ``GoneError``);
        ``stall_timeout`` seconds without a byte, a cut connection and a truncated or unreadable line are raised as
        ``ApiUnreachableError``. Close the generator (``contextlib.aclosing``) to end the watch.
        """
