"""The HTTP client: requests, errors, forwarding, timeouts; and each way in which a watch was seen to go wrong."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from runner.client import ACCEPT_PARTIAL, ApiClient, HttpClient, PatchType, WatchEvent, WatchEventType
from runner.client.config import Cluster
from runner.client.credentials import Credentials, StaticCredentials, TokenFile
from runner.client.tls import make_context, use_certificate
from runner.clock import SystemClock
from runner.errors import (
    ApiError,
    ApiUnreachableError,
    ConflictError,
    ForbiddenError,
    GoneError,
    NotFoundError,
    UnauthorizedError,
)
from runner.objects import KubeObject
from tests.fakes.client import FakeClient
from tests.fakes.clock import FakeClock
from tests.fakes.faultserver import (
    Exchange,
    FaultServer,
    Handler,
    answering,
    black_hole,
    deaf_server,
    fault_server,
    streaming,
)

PATH = "/api/v1/foos"
SHORT = 0.2
"""Seconds that stand for timeouts which are longer in earnest."""


def client_of(
    url: str, credentials: Credentials | None = None, tls: ssl.SSLContext | None = None, connect_timeout: float = 10.0
) -> HttpClient:
    cluster = Cluster(url, tls, credentials or StaticCredentials("Bearer secret"))
    return HttpClient(cluster, FakeClock(), connect_timeout=connect_timeout)


def status(code: int, reason: str, message: str = "message", **fields: object) -> KubeObject:
    return {"kind": "Status", "apiVersion": "v1", "code": code, "reason": reason, "message": message, **fields}


def line(event_type: str, obj: KubeObject) -> bytes:
    return orjson.dumps({"type": event_type, "object": obj}) + b"\n"


Ask = Callable[[HttpClient], Awaitable[object]]
ADDED = line("ADDED", {"metadata": {"name": "a"}})


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with fault_server() as running:
        yield running


@pytest_asyncio.fixture
async def client(server: FaultServer) -> AsyncIterator[HttpClient]:
    async with client_of(server.url) as made:
        yield made


async def watched(client: ApiClient, stall_timeout: float = 5.0) -> list[WatchEvent]:
    async with aclosing(client.watch(PATH, {"resourceVersion": "1"}, stall_timeout=stall_timeout)) as events:
        return [event async for event in events]


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


async def test_writes_say_what_they_are(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, answering(200, {}))
    await client.post(PATH, {"a": 1})
    await client.patch(PATH, {"a": 2})
    await client.patch(PATH, {"a": 3}, patch_type=PatchType.APPLY, params={"fieldManager": "me"})
    await client.delete(PATH)
    assert [(request.method, request.headers.get("content-type"), request.body) for request in server.requests] == [
        ("POST", "application/json", b'{"a":1}'),
        ("PATCH", "application/merge-patch+json", b'{"a":2}'),
        ("PATCH", "application/apply-patch+yaml", b'{"a":3}'),
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


# Watches


async def test_a_watch_yields_events_until_its_clean_end(server: FaultServer, client: HttpClient) -> None:
    bookmark = line("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    server.on(PATH, streaming(ADDED, b"\n", bookmark))
    events = await watched(client)
    assert [event.type for event in events] == [WatchEventType.ADDED, WatchEventType.BOOKMARK]
    assert events[0].object == {"metadata": {"name": "a"}}
    assert server.requests[0].target == f"{PATH}?resourceVersion=1&watch=true"


async def test_on_open_is_called_before_the_first_event(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, streaming(then="hang"))
    opened = asyncio.Event()

    async def watch_for_ever() -> None:
        async with aclosing(client.watch(PATH, {}, on_open=opened.set)) as events:
            await anext(events)

    task = asyncio.create_task(watch_for_ever(), name="first event")
    async with asyncio.timeout(5):
        await opened.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("chunks", "then"),
    [
        ((ADDED, ADDED[:-9]), "end"),
        ((ADDED, ADDED[:-9]), "cut"),
        ((ADDED,), "cut"),
        ((ADDED, b"<html>502</html>\n"), "end"),
        ((ADDED, b'{"type": "ADDED"}\n'), "end"),
        ((ADDED, b'{"type": "SURPRISE", "object": {}}\n'), "end"),
        ((ADDED, b'{"type": "ADDED", "object": "text"}\n'), "end"),
        ((ADDED, b"[]\n"), "end"),
        ((ADDED,), "hang"),
    ],
    ids=[
        "line truncated at a clean end",
        "line truncated by a cut",
        "cut between lines",
        "HTML in the stream",
        "event without object",
        "unknown type",
        "object that is none",
        "list",
        "black hole",
    ],
)
async def test_a_watch_that_breaks_off_keeps_what_came_before(
    server: FaultServer, client: HttpClient, chunks: tuple[bytes, ...], then: str
) -> None:
    server.on(PATH, streaming(*chunks, then=then))
    async with aclosing(client.watch(PATH, {}, stall_timeout=5 * SHORT)) as events:
        assert (await anext(events)).type is WatchEventType.ADDED
        with pytest.raises(ApiUnreachableError, match=server.url):
            await anext(events)


async def test_utf_8_split_byte_by_byte_is_put_together(server: FaultServer, client: HttpClient) -> None:
    text = line("ADDED", {"metadata": {"name": "äß€😀"}})
    server.on(PATH, streaming(*(text[i : i + 1] for i in range(len(text)))))
    assert [event.object["metadata"]["name"] for event in await watched(client)] == ["äß€😀"]


async def test_a_line_of_9_mib_is_read(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, streaming(line("ADDED", {"data": "x" * 9 * 2**20}), ADDED))
    assert [len(orjson.dumps(event.object)) > 9 * 2**20 for event in await watched(client)] == [True, False]


async def test_a_line_beyond_all_limits_is_an_error_and_not_memory_without_end(
    server: FaultServer, client: HttpClient
) -> None:
    server.on(PATH, streaming(*([b"x" * 2**20] * 18), then="hang"))
    with pytest.raises(ApiUnreachableError):
        await watched(client)


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (status(410, "Expired"), GoneError),
        ({"kind": "Status", "code": 410}, GoneError),
        ({"kind": "Status", "code": 500}, ApiError),
        ({}, ApiError),
    ],
    ids=["410", "410 without reason", "500 without reason", "empty"],
)
async def test_an_error_in_the_stream_is_raised(
    server: FaultServer, client: HttpClient, obj: KubeObject, expected: type[ApiError]
) -> None:
    server.on(PATH, streaming(ADDED, line("ERROR", obj), then="hang"))
    with pytest.raises(ApiError) as caught:
        await watched(client)
    assert type(caught.value) is expected


async def test_gone_as_an_answer_is_raised(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, answering(410, status(410, "Expired")))
    with pytest.raises(GoneError):
        await watched(client)


async def test_bookmarks_keep_a_quiet_watch_alive(server: FaultServer, client: HttpClient) -> None:
    async def bookmark_before_each_stall(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for _ in range(5):
            await asyncio.sleep(SHORT / 2)
            await exchange.event("BOOKMARK", {"metadata": {"resourceVersion": "1"}})
        await exchange.end_stream()

    server.on(PATH, bookmark_before_each_stall)
    assert len(await watched(client, stall_timeout=4 * SHORT)) == 5


async def test_a_closed_watch_closes_its_connection(server: FaultServer, client: HttpClient) -> None:
    closed = asyncio.Event()

    async def until_closed(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(ADDED)
        try:
            while True:
                await exchange.chunk(b"\n")
                await asyncio.sleep(0.01)
        except ConnectionError:
            closed.set()
            raise

    server.on(PATH, until_closed)
    async with aclosing(client.watch(PATH, {})) as events:
        await anext(events)
    async with asyncio.timeout(5):
        await closed.wait()


async def test_a_burst_of_events_lets_other_tasks_run(server: FaultServer, client: HttpClient) -> None:
    burst = line("ADDED", {"data": "x" * 1000}) * 4000
    server.on(PATH, streaming(burst))
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(take_turns(), name="other")
    async with aclosing(client.watch(PATH, {})) as events:
        await anext(events)
        before = turns
        # All of it is in the buffer by now, or nearly so: nothing but the client's own pauses lets the other task run.
        await asyncio.sleep(0.2)
        turns = before = 0
        count = sum([1 async for _ in events])
    other.cancel()
    assert count == 3999
    assert turns - before >= 10


async def test_any_number_of_watches_leaves_room_for_requests(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, streaming(then="hang"))
    server.on("/version", answering(200, {"major": "1"}))
    opened = asyncio.Semaphore(0)

    async def watch_for_ever() -> None:
        async with aclosing(client.watch(PATH, {}, on_open=opened.release)) as events:
            await anext(events)

    watches = [asyncio.create_task(watch_for_ever(), name="watch") for _ in range(150)]
    async with asyncio.timeout(30):
        for _ in watches:
            await opened.acquire()
        assert await client.get("/version") == {"major": "1"}
    for watch in watches:
        watch.cancel()
    assert await asyncio.gather(*watches, return_exceptions=True)


# The way to the server


@asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """Yield a URL where nothing listens."""
    async with fault_server() as server:
        url = server.url
    yield url


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


async def test_a_server_that_accepts_and_stays_silent_ends_a_request_and_a_watch() -> None:
    async with deaf_server("http") as url:
        cluster = Cluster(url, None, StaticCredentials())
        async with HttpClient(cluster, FakeClock(), request_timeout=SHORT) as client:
            with pytest.raises(ApiUnreachableError, match="stayed silent for too long"):
                await client.get(PATH)
            with pytest.raises(ApiUnreachableError, match="stayed silent for too long"):
                await watched(client, stall_timeout=SHORT)


async def test_a_name_that_cannot_be_resolved_is_said_so() -> None:
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


# Credentials that are refused


async def test_a_certificate_of_an_unknown_authority_is_said_so(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2126, 1, 1, tzinfo=dt.UTC))
        .sign(key, hashes.SHA256())
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    use_certificate(
        tls,
        certificate.public_bytes(Encoding.PEM).decode(),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )
    async with fault_server(tls) as server, client_of(server.url, tls=make_context(None, "", verify=True)) as client:
        with pytest.raises(ApiUnreachableError, match=r"gave no answer: TLS: .*certificate verify failed") as caught:
            await client.get(PATH)
        assert "\n" not in str(caught.value)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("old\n")
    return path


def only(token: str) -> Handler:
    async def handle(exchange: Exchange) -> None:
        accepted = exchange.request.headers.get("authorization") == f"Bearer {token}"
        await exchange.answer(200 if accepted else 401, {} if accepted else status(401, "Unauthorized"))

    return handle


async def test_a_401_in_mid_run_reads_the_rotated_token_and_tries_once_more(
    server: FaultServer, token_file: Path
) -> None:
    server.on(PATH, only("old"))
    async with client_of(server.url, TokenFile(token_file, FakeClock())) as client:
        await client.get(PATH)
        server.on(PATH, only("new"))
        _rewrite_unnoticed(token_file, "new\n")
        await client.patch(PATH, {"a": 1})
    assert [request.headers["authorization"] for request in server.requests] == [
        "Bearer old",
        "Bearer old",
        "Bearer new",
    ]
    assert [request.body for request in server.requests[1:]] == [b'{"a":1}'] * 2


async def test_a_watch_and_a_forwarded_request_try_once_more_too(server: FaultServer, token_file: Path) -> None:
    async with client_of(server.url, TokenFile(token_file, FakeClock())) as client:
        _rewrite_unnoticed(token_file, "new\n")
        server.on(PATH, only("new"))
        answer = await client.forward("POST", PATH, {}, b"body")
        assert answer.status == 200
        answer.release()
    async with client_of(server.url, TokenFile(token_file, FakeClock())) as client:
        _rewrite_unnoticed(token_file, "newer\n")
        server.on(PATH, answering(401, status(401, "Unauthorized")), streaming(ADDED))
        assert len(await watched(client)) == 1


@pytest.mark.parametrize("content", ["old\n", ""], ids=["unchanged", "empty at that moment"])
async def test_a_401_without_a_new_token_is_raised_and_not_repeated(
    server: FaultServer, token_file: Path, content: str
) -> None:
    server.on(PATH, answering(401, status(401, "Unauthorized")))
    async with client_of(server.url, TokenFile(token_file, FakeClock())) as client:
        _rewrite_unnoticed(token_file, content)
        with pytest.raises(UnauthorizedError):
            await client.get(PATH)
    assert len(server.requests) == 1


async def test_a_body_that_cannot_be_sent_twice_is_not(server: FaultServer, token_file: Path) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"one"

    server.on(PATH, only("new"))
    async with client_of(server.url, TokenFile(token_file, FakeClock())) as client:
        _rewrite_unnoticed(token_file, "new\n")
        answer = await client.forward("POST", PATH, {}, body())
        assert answer.status == 401
        answer.release()
    assert [request.body for request in server.requests] == [b"one"]


def _rewrite_unnoticed(path: Path, content: str) -> None:
    """Write the file in place and give it its old modification time back, so that only a 401 can tell."""
    before = path.stat()
    path.write_text(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


# Forwarding


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
        _rewrite_unnoticed(token_file, "new")
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


async def test_the_real_clock_serves_too(server: FaultServer) -> None:
    server.on(PATH, answering(200, {}))
    async with HttpClient(Cluster(server.url, None, StaticCredentials()), SystemClock()) as client:
        assert await client.get(PATH) == {}
        assert client.server == server.url
