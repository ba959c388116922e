"""Upgrades that aiohttp does not know, tunnelled as bytes: to a server that speaks raw TCP after its 101."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias

from yarl import URL

from tests.unit.proxy.bench import OPERATORS_TOKEN, proxy_before

Talk: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
AGREED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
REFUSED = b'{"kind":"Status","code":403,"reason":"Forbidden","message":"you may not"}'


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
        lines += ["Connection: Upgrade", "Upgrade: SPDY/3.1", f"Authorization: Bearer {token}", "X-Stream: v4", "", ""]
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
    assert "X-Stream: v4" in heads[0]
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
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n" % len(REFUSED) + REFUSED)

    async with tunnelled(tmp_path, talk) as (reader, _, _):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 403 ")
        assert b"you may not" in await reader.readuntil(b"}")
