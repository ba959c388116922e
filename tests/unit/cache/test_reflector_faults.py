"""Reflector and client together, over real sockets: no fault makes them ask without end."""

from __future__ import annotations

import asyncio

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.cache.cache import Informer
from reconcile_runner.cache.reflector import Reflector
from reconcile_runner.client import HttpClient
from reconcile_runner.client.config import Cluster
from reconcile_runner.client.credentials import StaticCredentials
from reconcile_runner.client.discovery import Discovery, Resource
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.faultserver import Exchange, FaultServer, Handler, answering, fault_server, streaming

FOO = GroupVersionKind("example.com", "v1", "Foo")
ROOT = "/apis/example.com/v1"
PATH = f"{ROOT}/foos"
RESOURCE = Resource(FOO, "foos", namespaced=True)


async def requests_in(seconds: float, clock: FakeClock, server: FaultServer) -> int:
    """Let time pass as the informer's pauses ask for it; return how many requests arrived meanwhile."""
    end = clock.monotonic() + seconds
    async with asyncio.timeout(30):
        while clock.monotonic() < end:
            await asyncio.sleep(0.001)
            if clock.next_wakeup is not None:
                await clock.advance(clock.next_wakeup)
    return server.count(PATH)


@pytest.mark.parametrize(
    "watch",
    [
        streaming(),
        streaming(b'{"type": "ADD'),
        streaming(b"<html>\n"),
        streaming(then="cut"),
        answering(503),
        answering(502, b"<html>"),
        answering(401, {"kind": "Status"}),
        answering(410, {"kind": "Status"}),
        streaming(b'{"type": "ERROR", "object": {"code": 410}}\n'),
        streaming(b'{"type": "ERROR", "object": {}}\n'),
    ],
    ids=[
        "clean EOF",
        "truncated line",
        "HTML in the stream",
        "cut",
        "503 empty",
        "502 HTML",
        "401",
        "410",
        "410 in the stream",
        "ERROR without reason",
    ],
)
async def test_no_fault_makes_a_hot_loop(watch: Handler) -> None:
    async def list_or_watch(exchange: Exchange) -> None:
        if "watch=true" in exchange.request.target:
            await watch(exchange)
        else:
            await exchange.answer(200, {"metadata": {"resourceVersion": "10"}, "items": [{"metadata": {"name": "a"}}]})

    clock = FakeClock()
    kind = Informer(FOO, metadata_only=False)
    store = kind.scopes([""])[0]
    async with fault_server() as server:
        server.on(PATH, list_or_watch)
        server.on(ROOT, answering(404))
        cluster = Cluster(server.url, None, StaticCredentials())
        async with HttpClient(cluster, clock) as client:
            informer = Reflector(client, Discovery(client, clock), RESOURCE, "", store, clock, metadata_only=False)
            task = asyncio.create_task(informer.run(), name="informer")
            first_minute = await requests_in(60.0, clock, server)
            ten_minutes = await requests_in(600.0, clock, server) - first_minute
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert first_minute <= 16
    assert ten_minutes <= 600 / 30 * 2 + 2, "two requests (list and watch) every 30 s at most"
    assert kind.get(ObjectKey("", "a")) is not None
