"""Upgrades, to a server that speaks raw TCP after its 101: bytes both ways, how WebSockets end, refusals."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

import aiohttp
import pytest
from yarl import URL

from tests.unit.proxy.bench import OPERATORS_TOKEN, proxy_before

Talk: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
AGREED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
REFUSED = b'{ "kind": "Status", "code": 403, "reason": "Forbidden", "message": "you may not" }'


@asynccontextmanager
async def tunnelled(
    directory: Path, talk: Talk
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, str]]:
    """Ask a server behind the proxy for SPDY; yield the run's connection, and its token."""
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def serve() -> None:
            try:
                await talk(reader, writer)
            finally:
                writer.close()

        tasks.add(asyncio.create_task(serve(), name="server"))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with proxy_before(f"http://127.0.0.1:{port}/prefix", directory) as (url, token):
        reader, writer = await asyncio.open_connection("127.0.0.1", URL(url).port)
        lines = ["POST /api/v1/namespaces/n/pods/p/exec?command=ls HTTP/1.1", "Host: x", "Content-Length: 0"]
        lines += [
            "Connection: Upgrade",
            "Upgrade: SPDY/3.1",
            f"Authorization: Bearer {token}",
            "X-Stream: v5",
            "X-Stream: v4",
            "",
            "",
        ]
        writer.write("\r\n".join(lines).encode())
        try:
            yield reader, writer, token
        finally:
            writer.close()
            server.close()
    await asyncio.wait_for(asyncio.gather(*tasks), 10)


async def test_bytes_pass_both_ways_once_the_server_agreed(tmp_path: Path) -> None:
    heads: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(AGREED + b"greetings")
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
        writer.write(b"bye")

    big = bytes(range(256)) * 4096
    async with tunnelled(tmp_path, talk) as (reader, writer, token):
        assert await reader.readuntil(b"\r\n\r\n") == AGREED
        assert await reader.readexactly(9) == b"greetings"
        writer.write(big)
        assert await reader.readexactly(len(big)) == big
        writer.write_eof()
        assert await reader.read() == b"bye"
    assert heads[0].startswith("POST /prefix/api/v1/namespaces/n/pods/p/exec?command=ls HTTP/1.1\r\n")
    assert f"Authorization: Bearer {OPERATORS_TOKEN}" in heads[0]
    assert "X-Stream: v5\r\nX-Stream: v4\r\n" in heads[0], "kubectl says each protocol that it speaks in a header"
    assert token not in heads[0]


async def test_a_tunnel_ends_when_the_server_hangs_up(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(AGREED)

    async with tunnelled(tmp_path, talk) as (reader, _, _):
        assert await reader.read() == AGREED


async def test_the_server_hears_that_the_run_hung_up(tmp_path: Path) -> None:
    heard = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(AGREED)
        assert await reader.read() == b""
        heard.set()

    async with tunnelled(tmp_path, talk) as (reader, writer, _):
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await asyncio.wait_for(heard.wait(), 10)


async def test_a_refusal_is_the_api_servers(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        lines = b"X-Kubernetes-Pf-Flowschema-Uid: u\r\nContent-Length: %d\r\n\r\n" % len(REFUSED)
        writer.write(b"HTTP/1.1 403 Forbidden\r\n" + lines + REFUSED)

    async with tunnelled(tmp_path, talk) as (reader, _, _):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 403 Forbidden\r\n")
        assert b"X-Kubernetes-Pf-Flowschema-Uid: u\r\n" in head
        assert await reader.readexactly(len(REFUSED)) == REFUSED


# One frame each (RFC 6455, 5.2): the final one, binary or close, its length, its payload.
OUTPUT = bytes([0x82, 4]) + b"\x01out"
NORMAL_CLOSURE = bytes([0x88, 2]) + (1000).to_bytes(2, "big")


def handshake(request: str) -> bytes:
    """Return the answer to a WebSocket's opening (RFC 6455, 4.2.2)."""
    key = next(line.split(": ")[1] for line in request.split("\r\n") if line.lower().startswith("sec-websocket-key"))
    digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()  # noqa: S324 the protocol's
    lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"]
    return "\r\n".join([*lines, f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}", "", ""]).encode()


@pytest.mark.parametrize(
    ("last", "end"),
    [
        pytest.param(
            NORMAL_CLOSURE, (aiohttp.WSMsgType.CLOSE, 1000), id="a server that says goodbye and does not wait"
        ),
        pytest.param(b"", (aiohttp.WSMsgType.CLOSED, None), id="a server that breaks off"),
    ],
)
async def test_the_run_is_told_how_a_websocket_ended(
    tmp_path: Path, last: bytes, end: tuple[aiohttp.WSMsgType, int | None]
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(handshake((await reader.readuntil(b"\r\n\r\n")).decode()) + OUTPUT + last)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with (
        proxy_before(address, tmp_path) as (url, token),
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.ws_connect(f"{url}/api/v1/namespaces/n/pods/p/exec") as socket,
    ):
        assert (await socket.receive()).data == OUTPUT[2:]
        last_message = await socket.receive()
        assert (last_message.type, last_message.data) == end
    server.close()


async def test_a_refused_websocket_is_answered_as_the_api_server_answered(tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n" % len(REFUSED) + REFUSED)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "k", "Sec-WebSocket-Version": "13"}
    async with (
        proxy_before(address, tmp_path) as (url, token),
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.get(f"{url}/api/v1/namespaces/n/pods/p/exec", headers=headers) as answer,
    ):
        assert (answer.status, answer.content_type, await answer.read()) == (403, "application/json", REFUSED)
    server.close()
