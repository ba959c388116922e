"""A local HTTP server that answers as real ones do when something is wrong: raw asyncio, so that it can break any rule.

A test says what happens at a path: ``server.on("/api", first, second, …)`` runs one handler a request, in order; the
last one stays. A handler gets an ``Exchange`` and writes to it what it likes. ``server.requests`` holds what arrived.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TypeAlias

import orjson

from reconcile_runner.apimachinery.objects import KubeObject


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it arrived; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(slots=True)
class Exchange:
    """A request and the means to answer it."""

    request: Received
    writer: asyncio.StreamWriter

    async def answer(
        self, status: int, body: bytes | KubeObject = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a complete answer; an object is sent as JSON."""
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        await self.head(status, {"Content-Length": str(len(data)), **(headers or {})})
        await self.raw(data)

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
            *(f"{name}: {text}" for name, text in headers.items()),
        ]
        await self.raw("\r\n".join([*lines, "", ""]).encode())

    async def begin_stream(self) -> None:
        """Send the head of a watch."""
        await self.head(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})

    async def chunk(self, data: bytes) -> None:
        await self.raw(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def event(self, event_type: str, obj: KubeObject) -> None:
        await self.chunk(orjson.dumps({"type": event_type, "object": obj}) + b"\n")

    async def end_stream(self) -> None:
        """End a watch as a server does whose time is over."""
        await self.raw(b"0\r\n\r\n")

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def cut(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()


Handler: TypeAlias = Callable[[Exchange], Awaitable[None]]


def answering(status: int, body: bytes | KubeObject = b"", headers: Mapping[str, str] | None = None) -> Handler:
    """Return a handler that sends one complete answer."""

    async def handle(exchange: Exchange) -> None:
        await exchange.answer(status, body, headers)

    return handle


def streaming(*chunks: bytes, then: str = "end") -> Handler:
    """Return a handler that streams ``chunks`` and then does what ``then`` says: ``end``, ``cut`` or ``hang``."""

    async def handle(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for data in chunks:
            await exchange.chunk(data)
        match then:
            case "end":
                await exchange.end_stream()
            case "cut":
                exchange.cut()
            case _:
                await asyncio.Event().wait()

    return handle


@dataclass(slots=True)
class FaultServer:
    """What ``fault_server`` yields."""

    url: str
    requests: list[Received] = field(default_factory=list)
    _handlers: dict[str, deque[Handler]] = field(default_factory=dict)

    def on(self, path: str, *handlers: Handler) -> None:
        self._handlers[path] = deque(handlers)

    def count(self, path: str) -> int:
        return sum(request.path == path for request in self.requests)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve the requests of one connection."""
        try:
            while (request := await _read_request(reader)) is not None:
                self.requests.append(request)
                handlers = self._handlers.get(request.path) or deque([answering(404)])
                handler = handlers.popleft() if len(handlers) > 1 else handlers[0]
                await handler(Exchange(request, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode().rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:size]
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, body)


@asynccontextmanager
async def fault_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[FaultServer]:
    """Serve on a free loopback port until the end of the block; connections still open are then cut."""
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(faults.serve(reader, writer), name="fault server connection")
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    faults = FaultServer(f"{'https' if tls else 'http'}://127.0.0.1:{port}")
    try:
        yield faults
    finally:
        server.close()
        for task in set(tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def refusing() -> AsyncIterator[str]:
    """Yield a URL where nothing listens."""
    async with fault_server() as server:
        url = server.url
    yield url


@asynccontextmanager
async def deaf_server(scheme: str) -> AsyncIterator[str]:
    """Accept connections and never say a word, not even a TLS greeting; yield the URL."""
    writers: list[asyncio.StreamWriter] = []

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


@asynccontextmanager
async def black_hole() -> AsyncIterator[str]:
    """Listen where no connection is ever established, because the backlog is full; yield the URL."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    try:
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for filler in fillers:
            filler.close()
        listener.close()
