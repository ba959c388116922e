"""What the tests of proxy and dependents share: all of an operator but Ansible, and runs that are HTTP clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, key_of, uid
from reconcile_runner.cache.cache import Cache
from reconcile_runner.client import HttpClient, connect
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.clock import SystemClock
from reconcile_runner.controller.dependents import Dependents
from reconcile_runner.controller.dependentscan import scan_for_dependents
from reconcile_runner.controller.reconcile import Request
from reconcile_runner.controller.workqueue import WorkQueue
from reconcile_runner.metrics import Metrics
from reconcile_runner.proxy import Owner, Proxy
from reconcile_runner.watches.watch import Watch
from tests.support.queues import depth, drain
from tests.support.watching import until

CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


@dataclass(frozen=True)
class Answer:
    """What a run got."""

    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def is_from_cache(self) -> bool:
        return self.headers.get("X-Cache") == "HIT"


@dataclass
class Run:
    """A run's HTTP client: it knows the proxy and its own token, nothing else."""

    url: str
    token: str
    session: aiohttp.ClientSession

    async def call(
        self,
        method: str,
        path: str,
        body: KubeObject | bytes | None = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(method, self.url + path, data=data, params=params, headers=sent) as answer:
            text = await answer.read()
            decoded = json.loads(text) if answer.content_type == "application/json" else text
            return Answer(answer.status, dict(answer.headers), decoded)

    async def get(self, path: str, *, accept: str = "application/json", **params: str) -> Answer:
        return await self.call("GET", path, params=params, headers={"Accept": accept})

    async def post(self, path: str, body: KubeObject) -> Answer:
        return await self.call("POST", path, body)

    async def apply(self, path: str, body: KubeObject | bytes, manager: str = "role") -> Answer:
        params = {"fieldManager": manager, "force": "true"}
        return await self.call("PATCH", path, body, params=params, headers={"Content-Type": APPLY})

    async def merge(self, path: str, body: KubeObject) -> Answer:
        return await self.call("PATCH", path, body, headers={"Content-Type": MERGE})


@dataclass
class Proxied:
    """The parts of an operator around its proxy. ``queues`` holds one for each watch; nobody serves them."""

    client: HttpClient
    discovery: Discovery
    cache: Cache
    dependents: Dependents
    namespaces: Collection[str]
    proxy: Proxy
    session: aiohttp.ClientSession
    metrics: Metrics
    queues: dict[GroupVersionKind, WorkQueue] = field(default_factory=dict)

    @contextmanager
    def run_for(self, owner: Owner) -> Iterator[Run]:
        with self.proxy.tokens.issue(owner) as token:
            yield Run(self.proxy.url, token, self.session)

    async def wanted(self, gvk: GroupVersionKind) -> set[Request]:
        """Wait until a watch is asked for a reconcile; return all that it is asked for then."""
        await until(lambda: depth(self.queues[gvk]), f"a reconcile of {gvk} is asked for")
        return await self.drain(gvk)

    async def drain(self, gvk: GroupVersionKind) -> set[Request]:
        """Take whatever a watch is asked for now."""
        return set(await drain(self.queues[gvk]))

    async def scan(self) -> None:
        """Look for dependents of earlier runs."""
        await scan_for_dependents(self.client, self.discovery, self.dependents, SystemClock(), self.namespaces)

    async def synced(self, gvk: GroupVersionKind) -> None:
        """Wait until a kind's cache is complete and connected."""
        await until(lambda: self.cache.view(gvk, "default", whole=False), f"{gvk} is in the cache")


def owner_of(obj: KubeObject) -> Owner:
    return Owner(GroupVersionKind.of(obj), key_of(obj), uid(obj))


@asynccontextmanager
async def proxied(
    kubeconfig: Path,
    *watches: Watch,
    whole: Collection[GroupVersionKind] = (),
    partial: Collection[GroupVersionKind] = (),
    namespaces: Collection[str] = (),
    injects: bool = True,
) -> AsyncIterator[Proxied]:
    """Run it until the end of the block, its caches synced. ``whole`` and ``partial`` are watched as by triggers."""
    clock = SystemClock()
    async with await connect(kubeconfig) as client, aiohttp.ClientSession() as session:
        discovery = Discovery(client, clock)
        cache, metrics = Cache(client, discovery, clock, namespaces), Metrics()
        dependents = Dependents(cache, metrics)
        proxy = Proxy(client, discovery, cache, dependents, metrics, injects=injects)
        made = Proxied(client, discovery, cache, dependents, namespaces, proxy, session, metrics)
        for watch in watches:
            made.queues[watch.gvk] = WorkQueue(watch.controller_name, clock, Metrics())
            if injects:
                dependents.add_watch(
                    watch, cache.get_informer(watch.gvk, whole=True, required=True), made.queues[watch.gvk]
                )
        for gvk in whole:
            cache.get_informer(gvk, whole=True, required=True)
        for gvk in partial:
            cache.get_informer(gvk, whole=False, required=True)
        for kind in cache.required_informers():
            kind.add_event_handler(dependents.observer(discovery.known, kind.gvk))
        await proxy.start()
        running = asyncio.create_task(cache.run(), name="cache")
        try:
            for kind in cache.required_informers():
                await until(lambda kind=kind: cache.view(kind.gvk, "default", whole=False), f"{kind.gvk} is cached")  # type: ignore[misc]
            yield made
        finally:
            # asyncio leaves a socket open where a TLS handshake is cancelled.
            await until(lambda: _is_at_rest(cache), "no watch is being opened")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await proxy.stop()
    await asyncio.sleep(0.1)  # TLS connections are closed in the loop's next turns


def _is_at_rest(cache: Cache) -> bool:
    """Tell whether each optional kind is watched, or waits because it was refused."""
    reflectors = [reflector for entry in cache._optional.values() for reflector in entry.reflectors]
    return all(reflector.health.is_connected or reflector._was_refused for reflector in reflectors)
