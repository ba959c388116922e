"""Upgrades to other protocols: the handshake, who may make it, refusals, HTTP proxies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from reconcile_runner.client import HttpClient, Refused, Upgraded
from reconcile_runner.client.config import Cluster
from reconcile_runner.client.credentials import StaticCredentials, TokenFile
from reconcile_runner.client.deadlines import Deadlines
from reconcile_runner.client.tls import ClientTls, make_context
from reconcile_runner.client.upgrade import open_upgrade
from reconcile_runner.errors import ApiUnreachableError
from reconcile_runner.server.certwatcher import CertWatcher, serving_context
from tests.support.fakes.certificates import write_certificate
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.faultserver import Exchange, FaultServer, fault_server, refusing
from tests.support.fakes.wire import client_of, rewrite_unnoticed, status

EXEC = "/exec"
SPDY = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "Authorization": "Bearer of-the-run", "X-Stream": "v4"}


async def agree(exchange: Exchange) -> None:
    await exchange.head(101, {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"})
    await exchange.raw(b"bytes")


async def test_the_servers_agreement_and_what_follows_arrive(client: HttpClient, server: FaultServer) -> None:
    server.on(EXEC, agree)
    upgraded = await client.upgrade("POST", f"{EXEC}?command=ls", SPDY, b"body")
    assert isinstance(upgraded, Upgraded)
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
        assert (await refused(client)).status == 401
        rewrite_unnoticed(token, "new")
        upgraded = await client.upgrade("GET", EXEC, SPDY, b"")
        assert isinstance(upgraded, Upgraded)
        assert await upgraded.reader.readexactly(5) == b"bytes"
        upgraded.close()


async def refused(client: HttpClient) -> Refused:
    answer = await client.upgrade("POST", EXEC, SPDY, b"")
    assert isinstance(answer, Refused)
    return answer


BODY = b'{"kind":"Status","code":403,"reason":"Forbidden","message":"you may not"}'


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY, id="of a length"),
        pytest.param(
            b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\n%b\r\n" % BODY[:5]
            + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY) - 5, BODY[5:]),
            id="in chunks",
        ),
        pytest.param(b"Connection: close\r\n\r\n" + BODY, id="until the end"),
    ],
)
async def test_a_refusal_is_the_whole_answer(client: HttpClient, server: FaultServer, raw: bytes) -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.raw(b"HTTP/1.1 403 Not today\r\nContent-Type: application/json\r\n" + raw)
        exchange.writer.close()

    server.on(EXEC, refuse)
    answer = await refused(client)
    assert (answer.status, answer.reason, answer.body) == (403, "Not today", BODY)
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1\r\n\r\n",
        b"x" * 200_000,
        b"HTTP/1.1 400 X\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 400 X\r\nContent-Length: 9\r\n\r\ncut",
        b"HTTP/1.1 400 X\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 400 X\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ncut",
    ],
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


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(2**16):
        writer.write(data)
    writer.close()


@asynccontextmanager
async def http_proxy(answer: bytes) -> AsyncIterator[tuple[str, list[str]]]:
    """Run a proxy that answers CONNECT so, and then passes bytes; yield its URL, and what it was asked."""
    asked: list[str] = []
    connections: list[asyncio.StreamWriter] = []
    passing: list[asyncio.Task[None] | None] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passing.append(asyncio.current_task())
        connections.append(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head)
        writer.write(answer)
        if answer.startswith(b"HTTP/1.1 200"):
            host, _, port = head.split()[1].partition(":")
            onward_reader, onward_writer = await asyncio.open_connection(host, int(port))
            connections.append(onward_writer)
            await asyncio.gather(copied(reader, onward_writer), copied(onward_reader, writer))
        writer.close()

    proxy = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    async with proxy:
        try:
            yield f"http://me:secret@127.0.0.1:{proxy.sockets[0].getsockname()[1]}", asked
        finally:
            for writer in connections:
                writer.transport.abort()
            await asyncio.gather(*filter(None, passing), return_exceptions=True)


async def test_an_http_proxy_is_upgraded_through(server: FaultServer) -> None:
    server.on(EXEC, agree)
    async with http_proxy(b"HTTP/1.1 200 Connected\r\n\r\n") as (url, asked):
        cluster = Cluster(server.url, None, StaticCredentials(""), proxy=url)
        upgraded = await open_upgrade(cluster, "POST", EXEC, SPDY, b"", Deadlines())
        assert isinstance(upgraded, Upgraded)
        assert upgraded.head.startswith(b"HTTP/1.1 101 ")
        upgraded.close()
    address = server.url.removeprefix("http://")
    assert asked[0].splitlines()[:3] == [
        f"CONNECT {address} HTTP/1.1",
        f"Host: {address}",
        "Proxy-Authorization: Basic bWU6c2VjcmV0",
    ]


async def test_an_http_proxy_is_upgraded_through_with_tls(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    presented = serving_context(CertWatcher(tmp_path / "tls.crt", tmp_path / "tls.key"))
    async with fault_server(presented) as server, http_proxy(b"HTTP/1.1 200 Connected\r\n\r\n") as (url, asked):
        server.on(EXEC, agree)
        tls = ClientTls(lambda: make_context(tmp_path / "ca.crt", "", verify=True), [])
        cluster = Cluster(server.url, tls, StaticCredentials(""), server_name="localhost", proxy=url)
        upgraded = await open_upgrade(cluster, "POST", EXEC, SPDY, b"", Deadlines())
        assert isinstance(upgraded, Upgraded)
        assert await upgraded.reader.readexactly(5) == b"bytes"
        upgraded.close()
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("answer", "told"),
    [(b"HTTP/1.1 407 Who are you\r\n\r\n", "answered 407 Who are you"), (b"hello\r\n\r\n", "not answer as a proxy")],
)
async def test_an_http_proxy_that_does_not_connect_is_named_without_its_password(answer: bytes, told: str) -> None:
    async with http_proxy(answer) as (url, _):
        cluster = Cluster("http://127.0.0.1:1", None, StaticCredentials(""), proxy=url)
        with pytest.raises(ApiUnreachableError, match=told) as caught:
            await open_upgrade(cluster, "POST", EXEC, SPDY, b"", Deadlines())
        assert "secret" not in str(caught.value)
