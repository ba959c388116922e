"""The HTTP client: requests, errors, and a server that cannot be reached."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import fields
from functools import partial

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from structlog.testing import capture_logs

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.client import ACCEPT_PARTIAL, ApiClient, HttpClient, PatchType
from reconcile_runner.client.config import Cluster
from reconcile_runner.client.credentials import StaticCredentials
from reconcile_runner.client.deadlines import Deadlines
from reconcile_runner.client.http import cause_of, make_socket
from reconcile_runner.client.tls import make_context
from reconcile_runner.clock import SystemClock
from reconcile_runner.errors import (
    ApiError,
    ApiUnreachableError,
    ConflictError,
    ForbiddenError,
    GoneError,
    NotFoundError,
    UnauthorizedError,
)
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.faultserver import Exchange, FaultServer, answering, black_hole, deaf_server, refusing
from tests.support.fakes.wire import PATH, SHORT, Ask, client_of, status, watched

_KEY = ConnectionKey("api.example", 6443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)


async def watched_by_default(client: HttpClient) -> None:
    async with aclosing(client.watch(PATH, {})) as events:
        async for _ in events:
            pass


def test_both_implementations_are_api_clients() -> None:
    implementations: list[type[ApiClient]] = [HttpClient, FakeClient]
    assert len(implementations) == 2


async def test_a_get_sends_credentials_accept_and_params_and_decodes_the_answer(
    server: FaultServer, client: HttpClient
) -> None:
    server.on(PATH, answering(200, {"kind": "Foo"}))
    assert await client.get(PATH, {"fieldSelector": "a=b,c"}, accept=ACCEPT_PARTIAL) == {"kind": "Foo"}
    request = server.requests[0]
    assert request.target == f"{PATH}?fieldSelector=a%3Db%2Cc"
    assert request.headers["authorization"] == "Bearer secret"
    assert request.headers["accept"] == ACCEPT_PARTIAL
    assert request.headers["user-agent"].startswith("ansible-reconcile-runner/")


async def test_a_tag_is_asked_for_by_the_last_one(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, answering(200, {"kind": "Foo"}, {"ETag": '"one"'}))
    assert await client.etag(PATH, accept=ACCEPT_PARTIAL) == '"one"'
    server.on(PATH, answering(304))
    assert await client.etag(PATH, accept=ACCEPT_PARTIAL, known='"one"') == '"one"'
    server.on(PATH, answering(200, {"kind": "Foo"}))
    assert await client.etag(PATH, accept=ACCEPT_PARTIAL, known='"one"') == ""
    assert [request.headers.get("if-none-match") for request in server.requests] == [None, '"one"', '"one"']
    assert {request.headers["accept"] for request in server.requests} == {ACCEPT_PARTIAL}
    server.on(PATH, answering(403, status(403, "Forbidden", "why it failed")))
    with pytest.raises(ForbiddenError, match="why it failed"):
        await client.etag(PATH, accept=ACCEPT_PARTIAL)


async def test_writes_say_what_they_are(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, answering(200, {}))
    await client.create(PATH, {"a": 1})
    await client.patch(PATH, {"a": 2})
    await client.patch(PATH, {"a": 3}, patch_type=PatchType.APPLY, params={"fieldManager": "me"})
    await client.update(PATH, {"a": 4})
    await client.delete(PATH)
    assert [(request.method, request.headers.get("content-type"), request.body) for request in server.requests] == [
        ("POST", "application/json", b'{"a":1}'),
        ("PATCH", "application/merge-patch+json", b'{"a":2}'),
        ("PATCH", "application/apply-patch+yaml", b'{"a":3}'),
        ("PUT", "application/json", b'{"a":4}'),
        ("DELETE", None, b""),
    ]
    assert server.requests[2].target == f"{PATH}?fieldManager=me"


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (401, "Unauthorized", UnauthorizedError),
        (403, "Forbidden", ForbiddenError),
        (404, "NotFound", NotFoundError),
        (409, "Conflict", ConflictError),
        (410, "Expired", GoneError),
        (422, "Invalid", ApiError),
    ],
)
async def test_a_status_is_raised_as_its_error(
    server: FaultServer, client: HttpClient, code: int, reason: str, expected: type[ApiError]
) -> None:
    server.on(PATH, answering(code, status(code, reason, "why it failed")))
    with pytest.raises(ApiError, match="why it failed") as caught:
        await client.get(PATH)
    assert (type(caught.value), caught.value.status, caught.value.reason) == (expected, code, reason)


async def test_a_too_large_resource_version_means_list_again(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, answering(504, status(504, "Timeout", "Too large resource version: 9, current: 1")))
    with pytest.raises(GoneError):
        await watched(client)


async def test_another_504_does_not(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, answering(504, status(504, "Timeout", "etcd took too long")))
    with pytest.raises(ApiError) as caught:
        await watched(client)
    assert not isinstance(caught.value, GoneError)


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (status(429, "TooManyRequests"), {"Retry-After": "7"}, 7.0),
        (status(429, "TooManyRequests", details={"retryAfterSeconds": 3}), {}, 3.0),
        (status(429, "TooManyRequests"), {}, None),
        (status(429, "TooManyRequests"), {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        (status(429, "TooManyRequests"), {"Retry-After": "soon"}, None),
    ],
    ids=["seconds", "in the status", "none", "a date that is over", "nonsense"],
)
async def test_retry_after(
    server: FaultServer, client: HttpClient, body: KubeObject, headers: dict[str, str], expected: float | None
) -> None:
    server.on(PATH, answering(429, body, headers))
    with pytest.raises(ApiError) as caught:
        await client.get(PATH)
    assert caught.value.retry_after == expected


@pytest.mark.parametrize("ask", [lambda client: client.get(PATH), watched], ids=["get", "watch"])
@pytest.mark.parametrize(
    ("code", "body", "message"),
    [
        (503, b"", "HTTP 503: an empty answer"),
        (502, b"<html>\n<h1>Bad Gateway</h1></html>", "HTTP 502: <html> <h1>Bad Gateway</h1></html>"),
        (500, b'["a list"]', r'HTTP 500: \["a list"\]'),
        (302, b"", "HTTP 302: an empty answer"),
    ],
    ids=["503 empty", "502 HTML", "500 JSON of another shape", "a redirect"],
)
async def test_an_error_without_a_status_object_is_an_error_all_the_same(
    server: FaultServer,
    client: HttpClient,
    ask: Ask,
    code: int,
    body: bytes,
    message: str,
) -> None:
    server.on(PATH, answering(code, body))
    with pytest.raises(ApiError, match=message) as caught:
        await ask(client)
    assert caught.value.status == code
    assert len(server.requests) == 1


@pytest.mark.parametrize("body", [b"<html>log in</html>", b"[]", b'{"kind": "Fo'], ids=["HTML", "a list", "truncated"])
async def test_a_good_status_with_a_body_that_is_no_object(
    server: FaultServer, client: HttpClient, body: bytes
) -> None:
    server.on(PATH, answering(200, body))
    with pytest.raises(ApiUnreachableError, match="did not answer as an API server"):
        await client.get(PATH)


@pytest.mark.parametrize(
    ("place", "cause"),
    [
        (refusing, "Connection refused|Connect call failed"),
        (black_hole, "connecting took too long"),
        (partial(deaf_server, "https"), "connecting took too long"),
    ],
    ids=["refused", "black hole at connect", "black hole at TLS"],
)
@pytest.mark.parametrize("ask", [lambda client: client.get(PATH), watched], ids=["get", "watch"])
async def test_a_server_that_cannot_be_reached_is_named_with_the_cause_in_one_line(
    place: Callable[[], AbstractAsyncContextManager[str]], cause: str, ask: Ask
) -> None:
    async with (
        place() as url,
        client_of(url, tls=make_context(None, "", verify=False), connect_timeout=SHORT) as client,
    ):
        with pytest.raises(ApiUnreachableError, match=cause) as caught:
            await ask(client)
    assert str(caught.value).startswith(f"{url} gave no answer: ")
    assert "\n" not in str(caught.value)


CALLS: dict[str, Ask] = {
    "get": lambda client: client.get(PATH),
    "etag": lambda client: client.etag(PATH, accept=ACCEPT_PARTIAL),
    "create": lambda client: client.create(PATH, {}),
    "patch": lambda client: client.patch(PATH, {}),
    "update": lambda client: client.update(PATH, {}),
    "delete": lambda client: client.delete(PATH),
    "watch": watched_by_default,
    "forward": lambda client: client.forward("GET", PATH, {}, None),
    "upgrade": lambda client: client.upgrade("GET", PATH, {"Upgrade": "websocket"}, b""),
}
"""Every call that goes out to the API server."""


def test_every_call_is_walked() -> None:
    calls = {name for name in vars(HttpClient) if not name.startswith("_")} - {"server", "close"}
    assert calls == set(CALLS)


@pytest.mark.parametrize("call", CALLS)
async def test_a_server_that_accepts_and_stays_silent_ends_each_call(call: str) -> None:
    deadlines = Deadlines(**dict.fromkeys((field.name for field in fields(Deadlines)), SHORT))
    async with deaf_server("http") as url:
        cluster = Cluster(url, None, StaticCredentials())
        async with HttpClient(cluster, FakeClock(), deadlines=deadlines) as client, asyncio.timeout(20):
            with pytest.raises(ApiUnreachableError, match="stayed silent for too long"):
                await CALLS[call](client)


async def test_a_stream_that_is_passed_on_may_stay_silent(server: FaultServer) -> None:
    released = asyncio.Event()

    async def late(exchange: Exchange) -> None:
        await released.wait()
        await answering(200, {})(exchange)

    server.on(PATH, late)
    cluster = Cluster(server.url, None, StaticCredentials())
    async with HttpClient(cluster, FakeClock(), deadlines=Deadlines(forward=SHORT)) as client:
        stream = asyncio.create_task(client.forward("GET", PATH, {}, None, is_stream=True))
        with pytest.raises(ApiUnreachableError, match="stayed silent for too long"):
            await client.forward("GET", PATH, {}, None)
        assert not stream.done()
        released.set()
        (await stream).release()


async def test_a_name_that_cannot_be_resolved_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_question: object, **_hints: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    async with client_of("http://nowhere.invalid") as client:
        with pytest.raises(ApiUnreachableError, match=r"nowhere\.invalid gave no answer: its name cannot be resolved"):
            await client.get(PATH)


async def test_an_outage_is_said_once_then_once_a_minute_and_when_it_is_over(server: FaultServer) -> None:
    clock = FakeClock()
    async with HttpClient(Cluster(server.url, None, StaticCredentials()), clock) as client:
        server.on(PATH, answering(200, {}))

        async def cut(exchange: Exchange) -> None:
            exchange.cut()

        with capture_logs() as logs:
            server.on(PATH, cut)
            for _ in range(10):
                with pytest.raises(ApiUnreachableError):
                    await client.get(PATH)
                await clock.advance(7.0)
            server.on(PATH, answering(500, {}))
            for _ in range(2):
                with pytest.raises(ApiError):
                    await client.get(PATH)
    assert [entry["event"] for entry in logs] == [
        "API server cannot be reached, trying again",
        "API server cannot be reached, trying again",
        "API server can be reached again",
    ]
    assert logs[-1]["seconds"] == 70.0


async def test_the_real_clock_serves_too(server: FaultServer) -> None:
    server.on(PATH, answering(200, {}))
    async with HttpClient(Cluster(server.url, None, StaticCredentials()), SystemClock()) as client:
        assert await client.get(PATH) == {}
        assert client.server == server.url


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            aiohttp.ClientConnectorCertificateError(_KEY, ValueError("it is out of date")),
            "TLS: it is out of date",
        ),
        (
            aiohttp.ClientConnectorDNSError(_KEY, OSError(socket.EAI_NONAME, "Name or service not known")),
            "its name cannot be resolved: Name or service not known",
        ),
        (aiohttp.ServerDisconnectedError(), "the connection was cut"),
        (aiohttp.ClientPayloadError("Response payload is not completed"), "the connection was cut"),
        (aiohttp.ConnectionTimeoutError("…"), "connecting took too long"),
        (TimeoutError(), "it stayed silent for too long"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "Connection reset by peer"),
        (EOFError("of two\n  lines"), "of two lines"),
        (EOFError(), "EOFError"),
    ],
)
def test_a_cause_is_one_line_for_people(error: Exception, said: str) -> None:
    assert cause_of(error) == said


@pytest.mark.skipif(sys.platform != "linux", reason="other systems name these options differently")
def test_a_dead_peer_is_found_within_a_minute_where_nobody_waits_for_it() -> None:
    with make_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 6443))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, interval, count = (
            made.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
    assert idle + interval * count <= 60
