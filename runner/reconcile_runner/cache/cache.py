"""The cache: an informer for each kind that was asked for, filled by reflectors.

Watches and triggers ask for required kinds before the start. They are waited for, and ``problem`` names those that
fail. Kinds of dependents are asked for later, and are watched as far as the API server lets us.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.backoff import Backoff
from reconcile_runner.cache.informer import ALL_NAMESPACES, Indexer, Informer, NamespaceStore
from reconcile_runner.cache.reflector import Health, Listing, Reflector, ignore_stuck
from reconcile_runner.client import ApiClient, OutageLog
from reconcile_runner.client.discovery import Discovery, Resource
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ApiError, ApiUnreachableError, KindNotFoundError
from reconcile_runner.logs import get_logger

__all__ = ["ALL_NAMESPACES", "Cache", "Indexer", "Informer", "NamespaceStore", "View"]

RECONNECT_TIMEOUT: Final = 5.0
"""Seconds without an open watch that are no problem.

The API server ends each watch every few minutes.
"""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class View:
    """A kind in one namespace or all, complete and with an open watch.

    ``resource_version`` is that of the whole scope, as a list has it.
    """

    informer: Informer
    resource_version: str
    listing: Listing


@dataclass(slots=True)
class _Entry:
    """A kind's informer, and the reflectors that fill it now."""

    informer: Informer
    reflectors: list[Reflector] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class Cache:
    """The informers of all kinds that were asked for, and their reflectors.

    ``namespaces``: those that are watched, with a reflector each; empty: all, with one reflector. Cluster-scoped kinds
    always have one.
    """

    def __init__(
        self,
        client: ApiClient,
        discovery: Discovery,
        clock: Clock,
        namespaces: Collection[str] = (),
        observe_stuck: Callable[[GroupVersionKind], None] = ignore_stuck,
    ) -> None:
        self._client = client
        self._discovery = discovery
        self._clock = clock
        self._observe_stuck = observe_stuck
        self._namespaces = tuple(dict.fromkeys(namespaces)) or (ALL_NAMESPACES,)
        self._required: dict[GroupVersionKind, _Entry] = {}
        self._optional: dict[GroupVersionKind, _Entry] = {}
        self._group: asyncio.TaskGroup | None = None

    def get_informer(self, gvk: GroupVersionKind, *, whole: bool, required: bool) -> Informer:
        """Return the informer of a kind, which all callers share. ``run`` fills it.

        ``whole``: hold whole objects, not their metadata alone. A ``required`` kind is waited for and counts for
        ``problem``; it must be asked for before ``run`` (else ``RuntimeError``), and is whole if anyone asks for that.

        Nothing waits for a kind that is not required. It is watched for as long as the API server serves it; once it
        is gone, it is empty, and the next call watches it again. A namespace in which it may not be listed costs one
        warning, and an attempt each ``reflector.FORBIDDEN_PERIOD``; the others are watched. ``whole`` counts in the
        first call only. If the kind is required too, its informer is shared, unless it holds less than is asked for.
        """
        if required:
            return self._require(gvk, whole=whole)
        entry = self._required.get(gvk)
        if entry is not None and not (whole and entry.informer.metadata_only):
            return entry.informer
        return self._watch_optional(gvk, whole=whole)

    def _require(self, gvk: GroupVersionKind, *, whole: bool) -> Informer:
        if self._group is not None:
            raise RuntimeError(f"{gvk} was asked for after the caches had been started")
        entry = self._required.get(gvk)
        if entry is None:
            entry = self._required[gvk] = _Entry(Informer(gvk, metadata_only=not whole))
        elif whole:
            entry.informer.metadata_only = False
        return entry.informer

    def _watch_optional(self, gvk: GroupVersionKind, *, whole: bool) -> Informer:
        entry = self._optional.get(gvk)
        if entry is None:
            entry = self._optional[gvk] = _Entry(Informer(gvk, metadata_only=not whole))
        if self._group is not None and (entry.task is None or entry.task.done()):
            entry.task = self._group.create_task(self._keep_optional(entry), name=f"dependents {gvk}")
        return entry.informer

    def required_informer(self, gvk: GroupVersionKind) -> Informer | None:
        """Return the informer of a required kind; None: the kind is not required."""
        entry = self._required.get(gvk)
        return entry.informer if entry is not None else None

    def required_informers(self) -> Iterator[Informer]:
        """Yield the informers of the required kinds."""
        return (entry.informer for entry in self._required.values())

    def view(self, gvk: GroupVersionKind, namespace: str, *, whole: bool) -> View | None:
        """Return a kind in a namespace (empty: all), if listed there and with an open watch.

        ``whole``: None also where only metadata is held.
        """
        for entry in (self._required.get(gvk), self._optional.get(gvk)):
            if entry is None or (whole and entry.informer.metadata_only):
                continue
            for reflector in entry.reflectors:
                if reflector.health.namespace not in (ALL_NAMESPACES, namespace):
                    continue
                if reflector.health.is_connected and reflector.listing is not None:
                    return View(entry.informer, reflector.resource_version, reflector.listing)
        return None

    @property
    def has_synced(self) -> bool:
        """Whether every required kind has been listed once."""
        return not self.unsynced()

    def unsynced(self) -> list[GroupVersionKind]:
        """Return the required kinds that have not been listed completely."""
        return [gvk for gvk, entry in self._required.items() if not entry.informer.has_synced]

    def missing(self) -> list[GroupVersionKind]:
        """Return the required kinds that the API server does not serve, as far as known."""
        return [gvk for gvk, entry in self._required.items() if not entry.reflectors]

    async def wait_synced(self) -> None:
        """Wait until every required kind has been listed once."""
        for informer in self.required_informers():
            await informer.wait_synced()

    def health(self) -> list[Health]:
        """Return the state of each reflector of required kinds; a missing kind has none."""
        return [reflector.health for entry in self._required.values() for reflector in entry.reflectors]

    def problem(self) -> str | None:
        """Name the required kinds that are not served, listed and watched; None: all are."""
        problems = {
            "not served": self.missing(),
            "not listed yet": self.unsynced(),
            "the API server's answer cannot be read": [health.gvk for health in self.health() if health.is_stuck],
            "no watch is open": [health.gvk for health in self.health() if self._is_cut_off(health)],
        }
        for problem, kinds in problems.items():
            if kinds:
                return f"{problem}: " + "; ".join(sorted({str(gvk) for gvk in kinds}))
        return None

    def _is_cut_off(self, health: Health) -> bool:
        return not health.is_connected and self._clock.monotonic() - health.since > RECONNECT_TIMEOUT

    async def run(self) -> None:
        """Keep every kind up to date until it is cancelled."""
        async with asyncio.TaskGroup() as self._group:
            for gvk, entry in self._required.items():
                self._group.create_task(self._keep_required(entry), name=f"cache of {gvk}")
            for gvk, entry in self._optional.items():
                self.get_informer(gvk, whole=not entry.informer.metadata_only, required=False)
            await asyncio.Event().wait()

    async def _keep_required(self, entry: _Entry) -> None:
        """Fill a kind's informer, also after the kind was gone or is served differently."""
        informer = entry.informer
        while True:
            resource = await self._discovery.wait_for(informer.gvk)
            await self._run_reflectors(entry, resource, optional=False)
            if self._discovery.known(informer.gvk) is None:
                informer.clear()

    async def _keep_optional(self, entry: _Entry) -> None:
        """Fill a kind's informer until the kind is gone."""
        informer, backoff, outage = entry.informer, Backoff(), OutageLog(self._clock)
        while True:
            try:
                resource = await self._discovery.resource(informer.gvk)
                await self._run_reflectors(entry, resource, optional=True)
            except KindNotFoundError:
                informer.clear()
                return
            except (ApiError, ApiUnreachableError) as error:
                if outage.should_log(type(error).__name__):
                    _log.warning("dependents cannot be watched, trying again", gvk=str(informer.gvk), error=str(error))
                await self._clock.sleep(backoff.next())

    async def _run_reflectors(self, entry: _Entry, resource: Resource, *, optional: bool) -> None:
        """Run a kind's reflectors until one returns."""
        entry.reflectors = self._make_reflectors(entry.informer, resource, optional=optional)
        try:
            await _run_until_one_returns(entry.reflectors)
        finally:
            entry.reflectors = []

    def _make_reflectors(self, informer: Informer, resource: Resource, *, optional: bool) -> list[Reflector]:
        namespaces = self._namespaces if resource.namespaced else (ALL_NAMESPACES,)
        return [
            Reflector(
                self._client,
                self._discovery,
                resource,
                store.namespace,
                store,
                self._clock,
                metadata_only=informer.metadata_only,
                optional=optional,
                observe_stuck=self._observe_stuck,
            )
            for store in informer.scopes(namespaces)
        ]


async def _run_until_one_returns(reflectors: Collection[Reflector]) -> None:
    """Run reflectors of one kind until one returns: the reason concerns them all."""
    tasks = [
        asyncio.create_task(reflector.run(), name=f"reflector of {reflector.health.gvk} {reflector.health.namespace}")
        for reflector in reflectors
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
