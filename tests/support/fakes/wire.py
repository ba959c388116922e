"""What the tests of the HTTP client share: a client of a ``FaultServer``, and what such a server says."""

from __future__ import annotations

import os
import ssl
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Final

import orjson

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.client import ApiClient, HttpClient, WatchEvent
from reconcile_runner.client.config import Cluster
from reconcile_runner.client.credentials import Credentials, StaticCredentials
from reconcile_runner.client.deadlines import Deadlines
from reconcile_runner.client.tls import ClientTls
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.faultserver import Exchange, Handler

PATH: Final = "/api/v1/foos"
SHORT: Final = 0.2
"""Seconds that stand for timeouts which are longer in earnest."""

Ask = Callable[[HttpClient], Awaitable[object]]


def client_of(
    url: str, credentials: Credentials | None = None, tls: ssl.SSLContext | None = None, connect_timeout: float = 10.0
) -> HttpClient:
    """Return a client that is to be closed."""
    client_tls = ClientTls(lambda: tls) if tls is not None else None
    cluster = Cluster(url, client_tls, credentials or StaticCredentials("Bearer secret"))
    return HttpClient(cluster, FakeClock(), deadlines=Deadlines(connect=connect_timeout))


def status(code: int, reason: str, message: str = "message", **fields: object) -> KubeObject:
    return {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message, **fields}


def line(event_type: str, obj: KubeObject) -> bytes:
    """Return a line of a watch."""
    return orjson.dumps({"type": event_type, "object": obj}) + b"\n"


ADDED: Final = line("ADDED", {"metadata": {"name": "a"}})


async def watched(client: ApiClient, stall_timeout: float = 5.0) -> list[WatchEvent]:
    """Watch until the end; return what was seen."""
    async with aclosing(client.watch(PATH, {"resourceVersion": "1"}, stall_timeout=stall_timeout)) as events:
        return [event async for event in events]


def only(token: str) -> Handler:
    """Return a handler that accepts one token and refuses all others."""

    async def handle(exchange: Exchange) -> None:
        accepted = exchange.request.headers.get("authorization") == f"Bearer {token}"
        await exchange.answer(200 if accepted else 401, {} if accepted else status(401, "Unauthorized"))

    return handle


def rewrite_unnoticed(path: Path, content: str) -> None:
    """Write a file in place and give it its old modification time back, so that only a 401 can tell."""
    before = path.stat()
    path.write_text(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
