"""The reflector: lists and watches one kind, and writes into a ``Store``.

It knows how to keep in touch: which answer means "watch on from the last resourceVersion", which one "list again", and
how long to wait before that.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

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
    UnreadableAnswerError,
)
from reconcile_runner.logs import get_logger

_log = get_logger(__name__)

METADATA_PAGE_LIMIT, WHOLE_PAGE_LIMIT = 500, 250
"""Objects a page: decoding one does not block the event loop for 20 ms."""
MIN_WATCH_TIMEOUT, MAX_WATCH_TIMEOUT = 300, 600
"""Seconds after which the server ends a watch, at random between these two.

So not all watches end at once.
"""
MAX_UNREADABLE: Final = 3
"""Times that an answer at one place may be unreadable before everything is listed again."""
MIN_WATCH_DURATION: Final = 5.0
"""Seconds that a watch must have lasted for no pause before the next one."""
MIN_LIST_PERIOD: Final = 30.0
"""Seconds between two lists for the second one to follow without a pause."""
FORBIDDEN_PERIOD: Final = 300.0
"""Seconds between two attempts at an optional kind that may not be listed."""
BACKOFF_RESET_DURATION: Final = 120.0
"""Seconds that a watch must have lasted to reset the back-off (as client-go's)."""


@dataclass(frozen=True, slots=True)
class Health:
    """The state of a reflector, in the clock's monotonic time.

    ``is_connected``: a watch is open; ``since`` is when that last changed. ``last_alive`` is when the server last sent
    something, or None. ``is_stuck``: what it sent at the same place could not be read, more than once.
    """

    gvk: GroupVersionKind
    namespace: str
    is_connected: bool
    since: float
    last_alive: float | None
    is_stuck: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """The form of a kind's lists: what the API server says in them besides the items.

    ``items_have_kind``: None where there was no item. ``metadata`` is without the resourceVersion; of custom resources
    it has an empty ``continue``.
    """

    api_version: str
    kind: str
    items_have_kind: bool | None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def ignore_stuck(gvk: GroupVersionKind) -> None:
    """Observe nothing."""


class Reflector:
    """Lists and watches one kind in one namespace, or in all (``namespace`` empty).

    ``run`` returns when the kind is gone or no longer served as ``resource`` says; the caller makes another reflector
    then. If the kind may not be read there, ``run`` tries again and again; of an ``optional`` kind each
    ``FORBIDDEN_PERIOD``, after one warning.
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
        observe_stuck: Callable[[GroupVersionKind], None] = ignore_stuck,
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
        self._observe_stuck = observe_stuck
        self._backoff = Backoff(random_factor)
        self._outage = OutageLog(clock)
        self._unreadable_log = OutageLog(clock)
        self._log = _log.bind(gvk=str(resource.gvk), namespace=namespace)
        self._resource_version = ""
        self._unreadable = 0
        self._unreadable_at = ""
        self._listing: Listing | None = None
        self._was_refused = False
        self._connected = False
        self._since = clock.monotonic()
        self._opened_at: float | None = None
        self._listed_at = -MIN_LIST_PERIOD
        self._last_alive: float | None = None

    @property
    def health(self) -> Health:
        """Return the state of this reflector."""
        return Health(
            self._resource.gvk,
            self._namespace,
            self._connected,
            self._since,
            self._last_alive,
            is_stuck=self._unreadable > 1,
        )

    @property
    def resource_version(self) -> str:
        """Return the resourceVersion of the store; a watch can go on from it."""
        return self._resource_version

    @property
    def listing(self) -> Listing | None:
        """Return the form of the last complete list; None before there was one."""
        return self._listing

    async def run(self) -> None:
        """List and watch until the kind is gone or is served differently."""
        while True:
            asked_pause = 0.0
            try:
                await self._list_and_watch()
            except UnreadableAnswerError as error:
                self._take_unreadable(error)
            except ApiUnreachableError as error:
                # The client logs an outage; a stream that broke off is no more than the end of a watch.
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
                asked_pause = self._take_refusal(error)
            except ApiError as error:
                self._warn(error)
                asked_pause = error.retry_after or 0.0
            finally:
                self._set_connected(connected=False)
            await self._clock.sleep(max(self._pause(), asked_pause))

    async def _list_and_watch(self) -> None:
        self._opened_at = None
        if not self._resource_version:
            self._resource_version = await self._list()
            self._unreadable = 0
        await self._watch()

    async def _list(self) -> str:
        """Bring the store up to date page by page; return the list's resourceVersion.

        A list that breaks off starts again from its first page: pages of two lists do not fit together.
        """
        self._listed_at = self._clock.monotonic()
        path = self._resource.path(self._namespace)
        accept = ACCEPT_PARTIAL_LIST if self._metadata_only else ACCEPT_JSON
        limit = {"limit": str(METADATA_PAGE_LIMIT if self._metadata_only else WHOLE_PAGE_LIMIT)}
        objects: list[KubeObject] = []
        params = limit
        while True:
            page = await self._client.get(path, params, accept=accept)
            self._last_alive = self._clock.monotonic()
            items: list[KubeObject] = page.get("items") or []
            # Page by page: a store that takes 100,000 objects at once blocks the event loop.
            for item in items:
                self._store.upsert(item)
            objects += items
            token = metadata(page).get("continue")
            if not token:
                break
            params = {**limit, "continue": token}
        has_kind = "kind" in objects[0] if objects else None
        meta = {name: value for name, value in metadata(page).items() if name != "resourceVersion"}
        self._listing = Listing(page.get("apiVersion") or "", page.get("kind") or "", has_kind, meta)
        self._store.replace(objects)
        return resource_version(page)

    async def _watch(self) -> None:
        """Write events into the store until the watch ends."""
        timeout = MIN_WATCH_TIMEOUT + int(self._random_factor() * (MAX_WATCH_TIMEOUT - MIN_WATCH_TIMEOUT))
        events = self._client.watch(
            self._resource.path(self._namespace),
            {
                "resourceVersion": self._resource_version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(timeout),
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

    def _take_unreadable(self, error: UnreadableAnswerError) -> None:
        """Go on from the last resourceVersion; where that does not help, from a fresh list.

        Once is a stream that broke off. What cannot be read again at the same place stays so.
        """
        self._unreadable = self._unreadable + 1 if self._unreadable_at == self._resource_version else 1
        self._unreadable_at = self._resource_version
        if self._unreadable == 1:
            self._log.debug("watch broke off", error=str(error))
            return
        self._observe_stuck(self._resource.gvk)
        if self._unreadable_log.should_log("unreadable"):
            self._log.warning("the API server's answer cannot be read, trying again", error=str(error))
        if self._unreadable >= MAX_UNREADABLE:
            self._resource_version = ""

    def _take(self, event: WatchEvent) -> None:
        self._unreadable = 0
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
        """Return the seconds to wait before the next attempt.

        There is no pause after a watch that lasted, nor before a list that is the first for a while.
        """
        now = self._clock.monotonic()
        lasted = 0.0 if self._opened_at is None else now - self._opened_at
        if lasted >= BACKOFF_RESET_DURATION:
            self._backoff.reset()
        if lasted >= MIN_WATCH_DURATION or (not self._resource_version and now - self._listed_at >= MIN_LIST_PERIOD):
            return 0.0
        return self._backoff.next()

    def _relist_after_stall(self) -> None:
        """List again after a watch that stalled without one event.

        Its resourceVersion may be unknown to the server (etcd was restored: the watch opens and stays silent), or the
        kind has no bookmarks (core Events have none), so silence proves nothing.
        """
        opened_at = self._opened_at
        if opened_at is None or self._last_alive != opened_at:
            return
        if self._clock.monotonic() - opened_at >= STALL_TIMEOUT:
            self._resource_version = ""

    async def _has_moved(self) -> bool:
        """Whether the kind is gone or served differently, after a 404."""
        gvk = self._resource.gvk
        try:
            now = await self._discovery.refresh(gvk)
        except KindNotFoundError:
            return True
        except (ApiError, ApiUnreachableError) as error:
            self._log.debug("discovery failed", error=str(error))
            return False
        return (now.plural, now.namespaced) != (self._resource.plural, self._resource.namespaced)

    def _take_refusal(self, error: ForbiddenError) -> float:
        """Return the seconds to wait before the next attempt."""
        if not self._optional:
            self._warn(error)
            return 0.0
        if not self._was_refused:
            self._was_refused = True
            self._log.warning(
                "dependents of this kind may not be listed and watched: what happens to them reconciles nothing",
                error=str(error),
            )
        self._resource_version = ""
        return FORBIDDEN_PERIOD

    def _warn(self, error: ApiError) -> None:
        if self._outage.should_log(f"{error.status} {error.reason}"):
            self._log.warning("watch failed, trying again", status=error.status, error=str(error))
