"""Requests that are passed on for others."""

from __future__ import annotations

import socket

import pytest

from reconcile_runner.client import HttpClient
from reconcile_runner.errors import ApiUnreachableError
from tests.support.fakes.faultserver import FaultServer, answering, refusing, streaming
from tests.support.fakes.wire import ADDED, PATH, client_of


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


async def test_sockets_are_kept_alive(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, streaming(ADDED, then="hang"))
    answer = await client.forward("GET", PATH, {}, None)
    assert answer.connection is not None
    assert answer.connection.transport is not None
    used = answer.connection.transport.get_extra_info("socket")
    assert used.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    answer.close()
