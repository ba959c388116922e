"""Lists and watches one kind, and writes what it sees into a ``Store``.

``cache`` starts one for each kind and namespace and implements the Store; what happens to an object is worked out
there. Here is only how to keep hearing about it: which answer means "go on from the last resourceVersion", which one
"list again", and how long to wait before that.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, metadata, resource_version
from reconcile_runner.backoff import Backoff
from reconcile_runner.cache.event import Store
from reconcile_runner.client import (
    ACCEPT_JSON,
    ACCEPT_PARTIAL,
    ACCEPT_PARTIAL_LIST,
    STALL_TIMEOUT,
    ApiClient,
    OutageLog,
    WatchEvent,
    WatchEventType,
)
from reconcile_runner.client.discovery import Discovery, Resource
from reconcile_runner.clock import Clock
from reconcile_runner.errors import (
    ApiError,
    ApiUnreachableError,
    ForbiddenError,
    GoneError,
    KindNotFoundError,
    NotFoundError,
)
from reconcile_runner.logs import get_logger

_log = get_logger(__name__)

METADATA_PAGE, WHOLE_PAGE = 500, 250
"""Objects a page of a list, so few that decoding a page does not block the event loop for 20 ms."""
SHORTEST_WATCH, LONGEST_WATCH = 300, 600
"""Seconds after which the server ends a watch, chosen at random so that not all of them end at once."""
BRIEF: Final = 5.0
"""Seconds that a watch must have lasted to be followed by the next one without a pause."""
LIST_PERIOD: Final = 30.0
"""Seconds that must lie between two lists for the second not to be preceded by a pause."""
HEALTHY: Final = 120.0
"""Seconds that a watch must have lasted for the next pause to be a short one again (client-go's reflector)."""


@dataclass(frozen=True, slots=True)
class Health:
    """How an informer is doing, in the clock's monotonic time.

    ``connected`` tells whether a watch is open, ``since`` since when that has been so; ``last_alive`` is when the
    server last said something, or None.
    """

    gvk: GroupVersionKind
    namespace: str
    connected: bool
    since: float
    last_alive: float | None


@dataclass(frozen=True, slots=True)
class Listing:
    """How the API server words a list of the kind: the list's own kind, and whether each item says its kind."""

    api_version: str
    kind: str
    items_say_kind: bool | None
    """None: there was no item to tell by."""


class Reflector:
    """One kind in one namespace, or in all where ``namespace`` is empty.

    ``resource`` is how discovery saw the kind when the informer was made; ``run`` returns when the kind is gone or is
    served in another way, and its owner starts another informer for what there is then. Where the kind may not be read,
    it asks again forever; an ``optional`` one raises ``ForbiddenError`` instead.
    """

    def __init__(
        self,
        client: ApiClient,
        discovery: Discovery,
        resource: Resource,
        namespace: str,
        store: Store,
        clock: Clock,
        *,
        metadata_only: bool,
        optional: bool = False,
        random_factor: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._discovery = discovery
        self._resource = resource
        self._namespace = namespace
        self._store = store
        self._clock = clock
        self._metadata_only = metadata_only
        self._optional = optional
        self._random_factor = random_factor
        self._backoff = Backoff(random_factor)
        self._outage = OutageLog(clock)
        self._log = _log.bind(gvk=str(resource.gvk), namespace=namespace)
        self._resource_version = ""
        self._listing: Listing | None = None
        self._connected = False
        self._since = clock.monotonic()
        self._opened_at: float | None = None
        self._listed_at = -LIST_PERIOD
        self._last_alive: float | None = None

    @property
    def health(self) -> Health:
        """Return how it is doing."""
        return Health(self._resource.gvk, self._namespace, self._connected, self._since, self._last_alive)

    @property
    def resource_version(self) -> str:
        """Return the place in history that the store shows: while connected, a watch can go on from there."""
        return self._resource_version

    @property
    def listing(self) -> Listing | None:
        """Return how the last complete list was worded; None before there was one."""
        return self._listing

    async def run(self) -> None:
        """List and watch until the kind is gone or is served differently."""
        while True:
            asked_pause = 0.0
            try:
                await self._list_and_watch()
            except ApiUnreachableError as error:
                # Where nothing answers at all, the client has said so; a stream that broke off is just taken up again.
                self._log.debug("watch broke off", error=str(error))
                self._relist_after_stall()
            except NotFoundError:
                self._resource_version = ""
                if await self._has_moved():
                    return
            except GoneError as error:
                self._log.info("history is gone, listing again", error=str(error))
                self._resource_version = ""
            except ForbiddenError as error:
                if self._optional:
                    raise
                self._complain(error)
            except ApiError as error:
                self._complain(error)
                asked_pause = error.retry_after or 0.0
            finally:
                self._set_connected(connected=False)
            await self._clock.sleep(max(self._pause(), asked_pause))

    async def _list_and_watch(self) -> None:
        self._opened_at = None
        if not self._resource_version:
            self._resource_version = await self._list()
        await self._watch()

    async def _list(self) -> str:
        """Bring the store up to date page by page; return the list's resourceVersion.

        A list that breaks off half-way is begun again: pages of two lists do not belong together.
        """
        self._listed_at = self._clock.monotonic()
        path = self._resource.path(self._namespace)
        accept = ACCEPT_PARTIAL_LIST if self._metadata_only else ACCEPT_JSON
        limit = {"limit": str(METADATA_PAGE if self._metadata_only else WHOLE_PAGE)}
        objects: list[KubeObject] = []
        params = limit
        while True:
            page = await self._client.get(path, params, accept=accept)
            self._last_alive = self._clock.monotonic()
            items: list[KubeObject] = page.get("items") or []
            # Page by page, because a store that takes 100,000 objects at once blocks everything else meanwhile.
            for item in items:
                self._store.upsert(item)
            objects += items
            token = metadata(page).get("continue")
            if not token:
                break
            params = {**limit, "continue": token}
        says_kind = "kind" in objects[0] if objects else None
        self._listing = Listing(page.get("apiVersion") or "", page.get("kind") or "", says_kind)
        self._store.replace(objects)
        return resource_version(page)

    async def _watch(self) -> None:
        """Write events into the store until the watch ends."""
        longest = SHORTEST_WATCH + int(self._random_factor() * (LONGEST_WATCH - SHORTEST_WATCH))
        events = self._client.watch(
            self._resource.path(self._namespace),
            {
                "resourceVersion": self._resource_version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(longest),
            },
            accept=ACCEPT_PARTIAL if self._metadata_only else ACCEPT_JSON,
            on_open=self._opened,
        )
        async with aclosing(events):
            async for event in events:
                self._take(event)

    def _set_connected(self, *, connected: bool) -> None:
        if connected is not self._connected:
            self._connected, self._since = connected, self._clock.monotonic()

    def _opened(self) -> None:
        self._set_connected(connected=True)
        self._opened_at = self._last_alive = self._clock.monotonic()
        lasted = self._outage.end()
        if lasted is not None:
            self._log.info("watching again", seconds=lasted)

    def _take(self, event: WatchEvent) -> None:
        self._last_alive = self._clock.monotonic()
        match event.type:
            case WatchEventType.ADDED | WatchEventType.MODIFIED:
                self._store.upsert(event.object)
            case WatchEventType.DELETED:
                self._store.delete(event.object)
            case WatchEventType.BOOKMARK:
                pass
        self._resource_version = resource_version(event.object) or self._resource_version

    def _pause(self) -> float:
        """Return how long to wait before the next attempt.

        Not at all after a watch that was well for a while, nor before a list that is not one of many.
        """
        now = self._clock.monotonic()
        lasted = 0.0 if self._opened_at is None else now - self._opened_at
        if lasted >= HEALTHY:
            self._backoff.reset()
        if lasted >= BRIEF or (not self._resource_version and now - self._listed_at >= LIST_PERIOD):
            return 0.0
        return self._backoff.next()

    def _relist_after_stall(self) -> None:
        """Forget the place in history where a watch stalled without having said anything.

        The server may know nothing of that place (etcd was restored from a backup: the watch opens and stays silent),
        or the kind may get no bookmarks (core events do not), so that silence proves nothing.
        """
        opened_at = self._opened_at
        if opened_at is None or self._last_alive != opened_at:
            return
        if self._clock.monotonic() - opened_at >= STALL_TIMEOUT:
            self._resource_version = ""

    async def _has_moved(self) -> bool:
        """Tell, after a 404, whether the kind is gone or served elsewhere."""
        gvk = self._resource.gvk
        try:
            now = await self._discovery.refresh(gvk)
        except KindNotFoundError:
            return True
        except (ApiError, ApiUnreachableError) as error:
            self._log.debug("discovery failed", error=str(error))
            return False
        return (now.plural, now.namespaced) != (self._resource.plural, self._resource.namespaced)

    def _complain(self, error: ApiError) -> None:
        if self._outage.should_log(f"{error.status} {error.reason}"):
            self._log.warning("watch failed, trying again", status=error.status, error=str(error))
