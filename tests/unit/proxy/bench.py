"""A proxy in front of any server, and a run's token for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import yaml

from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.cache.cache import Cache
from reconcile_runner.client import HttpClient, connect
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.clock import SystemClock
from reconcile_runner.controller.dependents import Dependents
from reconcile_runner.metrics import Metrics
from reconcile_runner.proxy import Owner, Proxy

OWNER = Owner(GroupVersionKind("g", "v1", "K"), ObjectKey("n", "a"), "u")
OPERATORS_TOKEN = "the-operators-own"


@asynccontextmanager
async def proxy_before(server: str, directory: Path, metrics: Metrics | None = None) -> AsyncIterator[tuple[str, str]]:
    """Yield the proxy's URL and a token."""
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": OPERATORS_TOKEN}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
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
