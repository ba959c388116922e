"""The kinds somebody watches, and the informers that keep them up to date.

``manager`` runs it. What somebody asked for before the start (``require``: watches and triggers) is waited for and
counts for readiness; what is asked for later (``follow``: dependents) is watched as far as the API server lets us.
``source``, ``dependents`` and ``reconciler`` hold the ``Informer`` of their kinds, ``proxy`` asks for a ``View``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.backoff import Backoff
from reconcile_runner.cache.informer import ALL_NAMESPACES, Indexer, Informer, NamespaceStore
from reconcile_runner.cache.reflector import Health, Listing, Reflector
from reconcile_runner.client import ApiClient, OutageLog
from reconcile_runner.client.discovery import Discovery, Resource
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ApiError, ApiUnreachableError, ForbiddenError, KindNotFoundError
from reconcile_runner.logs import get_logger

__all__ = ["ALL_NAMESPACES", "Cache", "Indexer", "Informer", "NamespaceStore", "View"]

RECONNECT_TIMEOUT: Final = 5.0
"""Seconds without an open watch that are no problem: the API server ends each watch every few minutes."""

FORBIDDEN_PERIOD: Final = 300.0
"""Seconds after which a kind is tried again that the operator was not allowed to list and watch."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class View:
    """A kind in one scope, complete, and as fresh as an open watch makes it.

    ``resource_version`` is that of the whole scope, as a list has it.
    """

    kind: Informer
    resource_version: str
    listing: Listing


@dataclass(slots=True)
class _Followed:
    """A kind and the informers that are at work for it now."""

    kind: Informer
    informers: list[Reflector] = field(default_factory=list)
    task: asyncio.Task[None] | None = None
    is_refused: bool = False


class Cache:
    """The kinds that somebody asked for, one informer each (and for each namespace), shared by all who asked.

    ``namespaces`` empty: all of them. Cluster-scoped kinds have one informer whatever it says.
    """

    def __init__(self, client: ApiClient, discovery: Discovery, clock: Clock, namespaces: Collection[str] = ()) -> None:
        self._client = client
        self._discovery = discovery
        self._clock = clock
        self._namespaces = tuple(dict.fromkeys(namespaces)) or (ALL_NAMESPACES,)
        self._required: dict[GroupVersionKind, _Followed] = {}
        self._optional: dict[GroupVersionKind, _Followed] = {}
        self._group: asyncio.TaskGroup | None = None

    def require(self, gvk: GroupVersionKind, *, whole: bool) -> Informer:
        """Return the cache of a kind, which is filled once ``run`` runs; whole if anybody needs it whole.

        Raises ``RuntimeError`` after the start.
        """
        if self._group is not None:
            raise RuntimeError(f"{gvk} was asked for after the caches had been started")
        followed = self._required.get(gvk)
        if followed is None:
            followed = self._required[gvk] = _Followed(Informer(gvk, metadata_only=not whole))
        elif whole:
            followed.kind.metadata_only = False
        return followed.kind

    def follow(self, gvk: GroupVersionKind, *, whole: bool) -> Informer:
        """Return the cache of a kind, watched from now on (once ``run`` runs) for as long as the API server serves it.

        Nothing waits for such a kind. One that may not be listed and watched costs one warning and a try every five
        minutes; one that is gone is empty, and followed again by the next call. A kind that was required is shared,
        unless it holds less than is asked for. ``whole`` counts in the first call only.
        """
        required = self._required.get(gvk)
        if required is not None and not (whole and required.kind.metadata_only):
            return required.kind
        followed = self._optional.get(gvk)
        if followed is None:
            followed = self._optional[gvk] = _Followed(Informer(gvk, metadata_only=not whole))
        if self._group is not None and (followed.task is None or followed.task.done()):
            followed.task = self._group.create_task(self._follow_while_served(followed), name=f"dependents {gvk}")
        return followed.kind

    def kind(self, gvk: GroupVersionKind) -> Informer | None:
        """Return the cache of a kind, or None where nobody required it."""
        followed = self._required.get(gvk)
        return followed.kind if followed is not None else None

    def required(self) -> Iterator[Informer]:
        """Yield the caches of the kinds that were required."""
        return (followed.kind for followed in self._required.values())

    def view(self, gvk: GroupVersionKind, namespace: str, *, whole: bool) -> View | None:
        """Return the kind in a namespace (empty: all), or None unless it is held completely and a watch is open.

        ``whole``: nothing that holds metadata only.
        """
        for followed in (self._required.get(gvk), self._optional.get(gvk)):
            if followed is None or (whole and followed.kind.metadata_only) or not followed.kind.has_synced:
                continue
            for informer in followed.informers:
                if informer.health.namespace not in (ALL_NAMESPACES, namespace):
                    continue
                if informer.health.connected and informer.listing is not None:
                    return View(followed.kind, informer.resource_version, informer.listing)
        return None

    @property
    def has_synced(self) -> bool:
        """Tell whether every required kind has been listed once."""
        return not self.unsynced()

    def unsynced(self) -> list[GroupVersionKind]:
        """Return the required kinds that have not been listed completely."""
        return [gvk for gvk, followed in self._required.items() if not followed.kind.has_synced]

    def missing(self) -> list[GroupVersionKind]:
        """Return the required kinds that the API server does not serve, or has not been asked for yet."""
        return [gvk for gvk, followed in self._required.items() if not followed.informers]

    async def wait_synced(self) -> None:
        """Wait until every required kind has been listed once."""
        for kind in self.required():
            await kind.wait_synced()

    def health(self) -> list[Health]:
        """Return how each informer of a required kind is doing; a kind that is missing has none."""
        return [informer.health for followed in self._required.values() for informer in followed.informers]

    def problem(self) -> str | None:
        """Name the required kinds that are not served, listed and watched; None: all are."""
        problems = {
            "not served": self.missing(),
            "not listed yet": self.unsynced(),
            "no watch is open": [health.gvk for health in self.health() if self._is_cut_off(health)],
        }
        for problem, kinds in problems.items():
            if kinds:
                return f"{problem}: " + "; ".join(sorted({str(gvk) for gvk in kinds}))
        return None

    def _is_cut_off(self, health: Health) -> bool:
        return not health.connected and self._clock.monotonic() - health.since > RECONNECT_TIMEOUT

    async def run(self) -> None:
        """Keep every kind up to date, forever."""
        async with asyncio.TaskGroup() as self._group:
            for gvk, followed in self._required.items():
                self._group.create_task(self._follow(followed), name=f"cache of {gvk}")
            for gvk, followed in self._optional.items():
                self.follow(gvk, whole=not followed.kind.metadata_only)
            await asyncio.Event().wait()

    async def _follow(self, followed: _Followed) -> None:
        """Run the informers of a kind, again when it is gone, came back or is served in another way."""
        kind = followed.kind
        while True:
            resource = await self._discovery.wait_for(kind.gvk)
            await self._keep_up(followed, resource, optional=False)
            if self._discovery.known(kind.gvk) is None:
                kind.clear()

    async def _follow_while_served(self, followed: _Followed) -> None:
        """Run the informers of a kind until it is gone; a kind that may not be read is asked for now and then."""
        kind, backoff, outage = followed.kind, Backoff(), OutageLog(self._clock)
        while True:
            try:
                resource = await self._discovery.resource(kind.gvk)
                await self._keep_up(followed, resource, optional=True)
            except KindNotFoundError:
                kind.clear()
                return
            except ForbiddenError as error:
                self._complain_once(followed, error)
                await self._clock.sleep(FORBIDDEN_PERIOD)
            except (ApiError, ApiUnreachableError) as error:
                if outage.should_log(type(error).__name__):
                    _log.warning("dependents cannot be watched, trying again", gvk=str(kind.gvk), error=str(error))
                await self._clock.sleep(backoff.next())

    async def _keep_up(self, followed: _Followed, resource: Resource, *, optional: bool) -> None:
        """Run the informers of a kind until one returns; raises what an optional one raises."""
        followed.informers = self._make_informers(followed.kind, resource, optional=optional)
        try:
            await _run_until_one_returns(followed.informers)
        finally:
            followed.informers = []

    def _complain_once(self, followed: _Followed, error: ForbiddenError) -> None:
        if followed.is_refused:
            return
        followed.is_refused = True
        _log.warning(
            "dependents of this kind may not be listed and watched: what happens to them reconciles nothing",
            gvk=str(followed.kind.gvk),
            error=str(error),
        )

    def _make_informers(self, kind: Informer, resource: Resource, *, optional: bool) -> list[Reflector]:
        namespaces = self._namespaces if resource.namespaced else (ALL_NAMESPACES,)
        return [
            Reflector(
                self._client,
                self._discovery,
                resource,
                store.namespace,
                store,
                self._clock,
                metadata_only=kind.metadata_only,
                optional=optional,
            )
            for store in kind.scopes(namespaces)
        ]


async def _run_until_one_returns(informers: Collection[Reflector]) -> None:
    """Run informers of one kind; what makes one return concerns them all."""
    tasks = [
        asyncio.create_task(informer.run(), name=f"informer of {informer.health.gvk} {informer.health.namespace}")
        for informer in informers
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
