"""Peers of whom nobody knows anything yet: how many, for how long, and what is logged of them."""

from __future__ import annotations

import asyncio
import errno
import logging
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from reconcile_runner.options import BindAddress
from reconcile_runner.server.certwatcher import CertWatcher, serving_context
from reconcile_runner.server.httpserver import HttpServer
from reconcile_runner.server.listener import (
    HEADER_TIMEOUT,
    MAX_CONNECTIONS,
    outside_limits,
    proxy_limits,
)
from reconcile_runner.server.peers import REPORT_PERIOD, Refusal
from tests.support.fakes.certificates import write_certificate
from tests.support.fakes.clock import FakeClock
from tests.unit.proxy.bench import proxy_before

SECRET = "s3cr3t-t0ken"
GET = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
MALFORMED = [
    f"GET /x HTTP/1.1\r\nAuthorization Bearer {SECRET}\r\n\r\n",
    f"GET /x HTTP/1.1\r\nAuthorization: Bearer {SECRET}\x01\r\n\r\n",
    f"{SECRET}\r\n\r\n",
    f"{SECRET} /x HTTP/9.9\r\n\r\n",
    f"GET //[{SECRET} HTTP/1.1\r\nHost: x\r\n\r\n",
    f"GET http://[{SECRET}/ HTTP/1.1\r\nHost: x\r\n\r\n",
    f"GET http://x:{SECRET}/ HTTP/1.1\r\nHost: x\r\n\r\n",
    f"CONNECT {SECRET}:x HTTP/1.1\r\nHost: x\r\n\r\n",
    f"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: {SECRET}\r\n\r\n",
    f"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\nX: {SECRET}\r\n\r\n",
    f"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{SECRET}\r\n",
    f"GET /{SECRET * 200_000} HTTP/1.1\r\nHost: x\r\n\r\n",
    f"GET /x HTTP/1.1\r\nX: {SECRET * 200_000}\r\n\r\n",
    "GET /x HTTP/1.1\r\n" + f"X: {SECRET}\r\n" * 1000 + "\r\n",
    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + SECRET,
    f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{SECRET}",
]


def mutations(seed: int, count: int) -> Iterator[bytes]:
    """Yield a request with bytes changed, left out or doubled."""
    chance = random.Random(seed)  # noqa: S311 a test that can be repeated
    whole = f"POST http://x/metrics?a=b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n\r\n".encode()
    whole = whole.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    for _ in range(count):
        changed = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(changed))
            match chance.randrange(3):
                case 0:
                    changed[place] = chance.randrange(256)
                case 1:
                    del changed[place : place + chance.randint(1, 8)]
                case _:
                    changed[place:place] = changed[place : place + 8]
        yield bytes(changed)


class Records(logging.Handler):
    """Keeps what the standard library's loggers would write, tracebacks and all."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


@contextmanager
def logged() -> Iterator[tuple[Records, list[Any]]]:
    records, root = Records(), logging.getLogger()
    level = root.level
    root.addHandler(records)
    root.setLevel(logging.INFO)
    try:
        with capture_logs() as lines:
            yield records, lines
    finally:
        root.removeHandler(records)
        root.setLevel(level)


async def hello(_: web.Request) -> web.StreamResponse:
    return web.Response(text="hello")


async def echo(request: web.Request) -> web.StreamResponse:
    return web.Response(body=await request.read())


@asynccontextmanager
async def serving(clock: FakeClock | None = None, certificate: Path | None = None) -> AsyncIterator[int]:
    tls = None
    if certificate is not None:
        write_certificate(certificate)
        tls = serving_context(CertWatcher(certificate / "tls.crt", certificate / "tls.key"))
    server = HttpServer("--a-port", BindAddress("127.0.0.1", 0), {"/x": hello}, tls=tls, clock=clock)
    await server.start()
    try:
        yield server.address.port
    finally:
        await server.stop()


async def say(port: int, sent: bytes, *, and_no_more: bool = True) -> bytes:
    """Return what is answered until the server ends the connection, which it does where nothing more can come."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        writer.write(sent)
        if and_no_more:
            writer.write_eof()
        async with asyncio.timeout(30):
            while data := await reader.read(2**16):
                received += data
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
    return received


@pytest.mark.parametrize("kind", ["taking posts", "answering gets", "the proxy"])
async def test_what_is_no_http_request_is_told_once_a_minute_without_its_bytes(kind: str, tmp_path: Path) -> None:
    sent = [text.encode("latin-1") for text in MALFORMED] + list(mutations(1, 150))
    with logged() as (records, lines):
        if kind == "the proxy":
            async with proxy_before("http://127.0.0.1:9", tmp_path) as (url, _):
                for each in sent:
                    await say(int(url.rpartition(":")[2]), each)
        else:
            server = HttpServer(
                "--a-port", BindAddress("127.0.0.1", 0), {"/metrics": echo}, can_post=kind == "taking posts"
            )
            await server.start()
            for each in sent:
                await say(server.address.port, each)
            await server.stop()
    told = [line for line in lines if line["event"] == "peers were refused"]
    assert records.texts == []
    assert SECRET not in str(lines)
    assert [line["cause"] for line in told] == [Refusal.MALFORMED] * 2
    assert told[0]["count"] == 1
    assert told[1]["count"] > 20


async def test_further_refusals_are_told_together_after_a_minute() -> None:
    clock = FakeClock()
    with capture_logs() as lines:
        async with serving(clock) as port:
            for _ in range(5):
                await say(port, b"no\r\n\r\n")
            assert [line["count"] for line in lines] == [1]
            await clock.advance(REPORT_PERIOD)
            assert [line["count"] for line in lines] == [1, 4]
            await clock.advance(REPORT_PERIOD)
            await say(port, b"no\r\n\r\n")
            assert [line["count"] for line in lines] == [1, 4, 1]


@pytest.mark.parametrize("target", ["http://127.0.0.1/x", "https://other/x", "*", "x"])
async def test_a_target_that_is_no_path_gets_400(target: str, tmp_path: Path) -> None:
    request = f"OPTIONS {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    async with serving() as port:
        assert (await say(port, request, and_no_more=False)).split()[1] == b"400"
    async with proxy_before("http://127.0.0.1:9", tmp_path) as (url, token):
        request = request.replace(b"\r\n\r\n", f"\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        assert (await say(int(url.rpartition(":")[2]), request, and_no_more=False)).split()[1] == b"400"


async def test_a_body_that_is_no_http_gets_400() -> None:
    server = HttpServer("--a-port", BindAddress("127.0.0.1", 0), {"/metrics": echo}, can_post=True)
    await server.start()
    request = b"POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with capture_logs() as lines:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
        writer.write(request)
        await asyncio.sleep(0)
        writer.write(b"no length\r\n")
        assert (await reader.readuntil(b"\r\n")).split()[1] == b"400"
        writer.transport.abort()
        await server.stop()
    assert {line["cause"] for line in lines} == {Refusal.MALFORMED}


@contextmanager
def silent(port: int, count: int) -> Iterator[list[socket.socket]]:
    opened = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    for one in opened:
        one.setblocking(False)
    try:
        yield opened
    finally:
        for one in opened:
            one.close()


def is_open(one: socket.socket) -> bool:
    try:
        return one.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "TLS"])
async def test_peers_that_say_nothing_keep_nobody_out(tmp_path: Path, *, is_tls: bool) -> None:
    with capture_logs() as lines:
        async with serving(certificate=tmp_path if is_tls else None) as port:
            with silent(port, 100) as opened:
                url = f"{'https' if is_tls else 'http'}://127.0.0.1:{port}/x"
                async with aiohttp.ClientSession() as session, session.get(url, ssl=False) as answer:
                    assert await answer.text() == "hello"
                still_open = [one for one in opened if is_open(one)]
                assert still_open == opened[-len(still_open) :]
                assert len(still_open) <= MAX_CONNECTIONS
    assert {line["cause"] for line in lines} == {Refusal.MANY}
    assert len(lines) == 2


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "TLS"])
async def test_a_header_that_is_not_complete_in_time_is_not_waited_for(tmp_path: Path, *, is_tls: bool) -> None:
    clock = FakeClock()
    with capture_logs() as lines:
        async with serving(clock, tmp_path if is_tls else None) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"\x16" if is_tls else GET[:-2])
            await asyncio.sleep(0)
            await clock.advance(HEADER_TIMEOUT)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
            writer.transport.abort()
    assert [line["cause"] for line in lines] == [Refusal.SLOW]


async def test_a_connection_that_has_sent_a_request_may_wait_for_the_next() -> None:
    clock = FakeClock()
    async with serving(clock) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(GET)
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            await clock.advance(2 * HEADER_TIMEOUT)
        writer.transport.abort()


async def test_without_a_file_descriptor_there_is_one_line_and_the_next_try_a_second_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, clock, failures = asyncio.get_running_loop(), FakeClock(), 3
    accept = loop.sock_accept

    async def sock_accept(listening: socket.socket) -> tuple[socket.socket, Any]:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            raise OSError(errno.EMFILE, "Too many open files")
        return await accept(listening)

    monkeypatch.setattr(loop, "sock_accept", sock_accept)
    with logged() as (records, lines):
        async with serving(clock) as port:
            for _ in range(3):
                await clock.advance(1.0)
            assert (
                await say(port, GET.replace(b"Host: x", b"Host: x\r\nConnection: close"), and_no_more=False)
            ).endswith(b"hello")
    assert records.texts == []
    assert [(line["cause"], line["count"]) for line in lines] == [(Refusal.NO_FILES, 1), (Refusal.NO_FILES, 2)]


@pytest.mark.parametrize("files", [128, 256, 1024, 4096, 2**20])
def test_the_servers_leave_a_quarter_of_the_file_descriptors_to_runs_at_least(files: int) -> None:
    outside, proxy = outside_limits(files), proxy_limits(files)
    assert 3 * outside.connections + 2 * proxy.connections <= files * 3 / 4
