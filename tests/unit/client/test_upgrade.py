"""Upgrades to protocols that aiohttp does not speak: the handshake, and who may make it."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconcile_runner.client import HttpClient
from reconcile_runner.client.config import Cluster
from reconcile_runner.client.credentials import StaticCredentials, TokenFile
from reconcile_runner.client.upgrade import open_upgrade
from reconcile_runner.errors import ApiUnreachableError, ForbiddenError, UnauthorizedError
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.faultserver import Exchange, FaultServer, answering, refusing
from tests.support.fakes.wire import client_of, rewrite_unnoticed, status

EXEC = "/exec"
SPDY = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "Authorization": "Bearer of-the-run", "X-Stream": "v4"}


async def agree(exchange: Exchange) -> None:
    await exchange.head(101, {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"})
    await exchange.raw(b"bytes")


async def test_the_servers_agreement_and_what_follows_arrive(client: HttpClient, server: FaultServer) -> None:
    server.on(EXEC, agree)
    upgraded = await client.upgrade("POST", f"{EXEC}?command=ls", SPDY, b"body")
    try:
        assert upgraded.head.startswith(b"HTTP/1.1 101 ")
        assert await upgraded.reader.readexactly(5) == b"bytes"
    finally:
        upgraded.close()
    (request,) = server.requests
    assert (request.method, request.target, request.body) == ("POST", f"{EXEC}?command=ls", b"body")
    assert request.headers["authorization"] == "Bearer secret"
    assert (request.headers["upgrade"], request.headers["x-stream"]) == ("SPDY/3.1", "v4")


async def test_a_401_is_tried_once_more_with_a_new_token(server: FaultServer, tmp_path: Path) -> None:
    async def only_new(exchange: Exchange) -> None:
        if exchange.request.headers["authorization"] == "Bearer new":
            await agree(exchange)
        else:
            await exchange.answer(401, status(401, "Unauthorized"))

    server.on(EXEC, only_new)
    token = tmp_path / "token"
    token.write_text("old")
    async with client_of(server.url, TokenFile(token, FakeClock())) as client:
        with pytest.raises(UnauthorizedError):
            await client.upgrade("GET", EXEC, SPDY, b"")
        rewrite_unnoticed(token, "new")
        upgraded = await client.upgrade("GET", EXEC, SPDY, b"")
        assert await upgraded.reader.readexactly(5) == b"bytes"
        upgraded.close()


async def test_a_refusal_is_the_api_servers_error(client: HttpClient, server: FaultServer) -> None:
    server.on(EXEC, answering(403, status(403, "Forbidden", "you may not")))
    with pytest.raises(ForbiddenError, match="you may not"):
        await client.upgrade("POST", EXEC, SPDY, b"")


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1\r\n\r\n", b"x" * 200_000, b"HTTP/1.1 400 X\r\nContent-Length: x\r\n\r\n"]
)
async def test_what_is_no_answer_is_unreachable(client: HttpClient, server: FaultServer, said: bytes) -> None:
    async def say(exchange: Exchange) -> None:
        await exchange.raw(said)
        exchange.writer.close()

    server.on(EXEC, say)
    with pytest.raises(ApiUnreachableError):
        await client.upgrade("POST", EXEC, SPDY, b"")


async def test_nobody_there_is_unreachable() -> None:
    async with refusing() as url, client_of(url) as client:
        with pytest.raises(ApiUnreachableError):
            await client.upgrade("POST", EXEC, SPDY, b"")


async def test_an_http_proxy_is_not_upgraded_through() -> None:
    cluster = Cluster("http://127.0.0.1:1", None, StaticCredentials(""), proxy="http://proxy:3128")
    with pytest.raises(ApiUnreachableError, match="proxy-url http://proxy:3128"):
        await open_upgrade(cluster, "POST", EXEC, SPDY, b"", 1.0)
