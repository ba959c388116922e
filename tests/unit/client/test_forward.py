"""Requests that are passed on for others, and WebSockets."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from reconcile_runner.client import HttpClient
from reconcile_runner.client.credentials import TokenFile
from reconcile_runner.errors import ApiUnreachableError, NotFoundError
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.faultserver import FaultServer, answering, refusing, streaming
from tests.support.fakes.wire import ADDED, PATH, client_of, rewrite_unnoticed


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("old\n")
    return path


async def test_a_forwarded_request_is_passed_on_as_it_is_with_the_operators_credentials(
    server: FaultServer, client: HttpClient
) -> None:
    compressed = b"\x1f\x8b not really gzip"
    server.on("/api/v1/a%2Fb", answering(202, compressed, {"Content-Encoding": "gzip", "X-Mark": "yes"}))
    headers = {"authorization": "Bearer run", "host": "proxy", "X-Own": "kept", "user-agent": "role"}
    answer = await client.forward("PUT", "/api/v1/a%2Fb?x=%2F&y", headers, b"body")
    async with answer:
        assert (answer.status, answer.headers["X-Mark"], await answer.read()) == (202, "yes", compressed)
    request = server.requests[0]
    assert (request.method, request.target, request.body) == ("PUT", "/api/v1/a%2Fb?x=%2F&y", b"body")
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["host"] in server.url
    assert (request.headers["x-own"], request.headers["user-agent"]) == ("kept", "role")
    assert not {"accept", "accept-encoding"} & request.headers.keys()


async def test_a_forwarded_error_is_an_answer_and_a_redirect_is_not_followed(
    server: FaultServer, client: HttpClient
) -> None:
    server.on(PATH, answering(302, b"", {"Location": "/elsewhere"}))
    answer = await client.forward("GET", PATH, {}, None)
    assert answer.status == 302
    answer.release()


async def test_forwarding_to_nowhere_is_unreachable() -> None:
    async with refusing() as url, client_of(url) as client:
        with pytest.raises(ApiUnreachableError):
            await client.forward("GET", PATH, {}, None)


@asynccontextmanager
async def websocket_server(accepted: str) -> AsyncIterator[str]:
    async def echo(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {accepted}":
            return web.Response(status=401)
        echoing = web.WebSocketResponse(protocols=["v5.channel.k8s.io"])
        await echoing.prepare(request)
        async for message in echoing:
            await echoing.send_bytes(message.data)
        return echoing

    app = web.Application()
    app.router.add_get("/exec", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_websocket_speaks_the_protocol_that_was_asked_for_after_a_renewed_token(token_file: Path) -> None:
    async with websocket_server("new") as url, client_of(url, TokenFile(token_file, FakeClock())) as client:
        rewrite_unnoticed(token_file, "new")
        upgraded = await client.websocket("/exec?command=ls", ["v5.channel.k8s.io"])
        assert upgraded.protocol == "v5.channel.k8s.io"
        await upgraded.send_bytes(b"hello")
        assert (await upgraded.receive()).data == b"hello"
        await upgraded.close()


async def test_a_refused_upgrade_is_an_api_error(client: HttpClient, server: FaultServer) -> None:
    with pytest.raises(NotFoundError):
        await client.websocket("/exec")


async def test_sockets_are_kept_alive(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, streaming(ADDED, then="hang"))
    answer = await client.forward("GET", PATH, {}, None)
    assert answer.connection is not None
    assert answer.connection.transport is not None
    used = answer.connection.transport.get_extra_info("socket")
    assert used.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    answer.close()
