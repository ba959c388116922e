"""A proxy in front of any server, and a run's token for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.cache.cache import Cache
from reconcile_runner.client import HttpClient, connect
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.clock import SystemClock
from reconcile_runner.controller.dependents import Dependents
from reconcile_runner.metrics import Metrics
from reconcile_runner.proxy import Owner, Proxy
from tests.support.kubeconfigs import write_kubeconfig

OWNER = Owner(GroupVersionKind("g", "v1", "K"), ObjectKey("n", "a"), "u")
OPERATORS_TOKEN = "the-operators-own"


@asynccontextmanager
async def proxy_before(server: str, directory: Path, metrics: Metrics | None = None) -> AsyncIterator[tuple[str, str]]:
    """Yield the proxy's URL and a token."""
    path = write_kubeconfig(directory / "kubeconfig", server, OPERATORS_TOKEN)
    async with await connect(path) as client:
        proxy = _proxy(client, metrics or Metrics())
        await proxy.start()
        try:
            with proxy.tokens.issue(OWNER) as token:
                yield proxy.url, token
        finally:
            await proxy.stop()


def _proxy(client: HttpClient, metrics: Metrics) -> Proxy:
    """Return a proxy whose discovery and cache are empty."""
    clock = SystemClock()
    discovery = Discovery(client, clock)
    cache = Cache(client, discovery, clock)
    return Proxy(client, discovery, cache, Dependents(cache, metrics), metrics)
