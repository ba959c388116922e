"""Accepts connections, of which nobody knows whose they are until a request has arrived.

A server has so many connections at most, and so many that have not sent a complete request yet. The oldest makes room
for a new one, so that peers who say nothing keep nobody out; and one who says nothing for ten seconds is not waited
for. The bounds leave most file descriptors to runs.
"""

from __future__ import annotations

import asyncio
import enum
import resource
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from aiohttp import web

from reconcile_runner.clock import Clock
from reconcile_runner.server.peers import PeerLog, Refusal

HEADER_TIMEOUT: Final = 10.0
"""Seconds to a connection's first complete header, with its TLS handshake."""
IDLE_TIMEOUT: Final = 75.0
"""Seconds for which a connection to probes or metrics may wait for its next request."""
MAX_CONNECTIONS: Final = 64
"""Connections of a server whose peers may be anybody: probes, metrics, metrics of roles."""
MAX_SILENT_CONNECTIONS: Final = 64
"""Connections to the proxy that have not sent a complete header yet, each of which may have sent 1 MiB of it."""
MAX_PROXY_CONNECTIONS: Final = 2000
"""Connections to the proxy, each of which may have another one to the API server."""
_BACKLOG: Final = 128
_ACCEPT_PAUSE: Final = 1.0
"""Seconds to wait where there is no file descriptor."""

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections a server has, and how many that have not sent a complete header.

    ``ends_busy``: whether one whose request is being served makes room, too, where there is no other.
    """

    connections: int
    silent: int
    ends_busy: bool


def outside_limits(files: int | None = None) -> Limits:
    """Return the limits of a server that anybody may reach.

    ``files``: how many file descriptors this process may have; None: as the system says.
    """
    count = max(4, min(MAX_CONNECTIONS, _files(files) // 32))
    return Limits(count, count, ends_busy=True)


def proxy_limits(files: int | None = None) -> Limits:
    """Return the limits of the proxy, whose requests may last."""
    count = _files(files)
    silent = max(4, min(MAX_SILENT_CONNECTIONS, count // 32))
    return Limits(max(16, min(MAX_PROXY_CONNECTIONS, count // 4)), silent, ends_busy=False)


def _files(files: int | None) -> int:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if files is None else files
    return 2**20 if soft == resource.RLIM_INFINITY else soft


class _Stage(enum.Enum):
    """What a connection is doing; the first of these makes room first."""

    SILENT = enum.auto()
    IDLE = enum.auto()
    BUSY = enum.auto()


class Listener:
    """Listens for one aiohttp server; with ``tls``, it speaks HTTPS alone."""

    def __init__(
        self, runner: web.AppRunner, limits: Limits, peers: PeerLog, clock: Clock, tls: ssl.SSLContext | None = None
    ) -> None:
        self._runner = runner
        self._limits = limits
        self.peers = peers
        self.clock = clock
        self.tls = tls
        self._sockets: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._open: dict[_Stage, dict[_Connection, None]] = {stage: {} for stage in _Stage}

    async def start(self, host: str | None, port: int) -> int:
        """Listen; return the port. Raises ``OSError``."""
        await self._runner.setup()
        try:
            bound = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port, start_serving=False)
            self._sockets = [one.dup() for one in bound.sockets]
            bound.close()
            for one in self._sockets:
                one.setblocking(False)
                one.listen(_BACKLOG)
        except OSError:
            await self.stop()
            raise
        self._tasks = [asyncio.create_task(self._accept(one), name="accept") for one in self._sockets]
        return int(self._sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stop listening and end open connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for one in self._sockets:
            one.close()
        await self._runner.cleanup()
        for stage in self._open.values():
            for connection in list(stage):
                connection.end()
        self.peers.close()

    def forget(self, connection: _Connection) -> None:
        """Count a connection no more."""
        for stage in self._open.values():
            stage.pop(connection, None)

    def move(self, connection: _Connection, stage: _Stage) -> None:
        """Note what a connection is doing now, unless it has ended."""
        if any(connection in connections for connections in self._open.values()):
            self.forget(connection)
            self._open[stage][connection] = None

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except ConnectionError:
                continue
            except OSError:
                self.peers.note(Refusal.NO_FILES)
                await self.clock.sleep(_ACCEPT_PAUSE)
                continue
            self._admit(accepted)
            await asyncio.sleep(0)  # what has been accepted may send its request before the next one

    def _admit(self, accepted: socket.socket) -> None:
        server = self._runner.server
        if server is None or not self._make_room():
            accepted.close()
            return
        connection = _Connection(self, accepted, server())
        self._open[_Stage.SILENT][connection] = None
        connection.start()

    def _make_room(self) -> bool:
        silent = self._open[_Stage.SILENT]
        if len(silent) < self._limits.silent and sum(map(len, self._open.values())) < self._limits.connections:
            return True
        self.peers.note(Refusal.MANY)
        stages = [stage for stage in _Stage if stage is not _Stage.BUSY or self._limits.ends_busy]
        oldest = next((connection for stage in stages for connection in self._open[stage]), None)
        if oldest is not None:
            oldest.end()
        return oldest is not None


class _Connection(asyncio.Protocol):
    """One connection: what arrives goes to aiohttp's protocol."""

    def __init__(self, listener: Listener, accepted: socket.socket, http: web.RequestHandler) -> None:
        self._listener = listener
        self._socket = accepted
        self._http = http
        self._transport: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None
        self._requests = 0
        self._timer = listener.clock.call_later(HEADER_TIMEOUT, self._expire)

    def start(self) -> None:
        """Shake hands, then read."""
        self._opening = asyncio.create_task(self._open(), name="connection")

    def end(self) -> None:
        """Cut the connection."""
        self._close()
        if self._transport is not None:
            self._transport.abort()
        elif self._opening is not None:
            self._opening.cancel()

    def note_malformed(self) -> None:
        """Count what arrived as no HTTP."""
        self._listener.peers.note(Refusal.MALFORMED)

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Count the connection as one whose request is being served."""
        self._timer.cancel()
        self._requests += 1
        self._listener.move(self, _Stage.BUSY)
        try:
            yield
        finally:
            self._requests -= 1
            if not self._requests:
                self._listener.move(self, _Stage.IDLE)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport
        self._http.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Take what arrived."""
        try:
            self._http.data_received(data)
        except ValueError:  # a URL that cannot be one
            self.note_malformed()
            self.end()

    def eof_received(self) -> None:
        """Note that the peer sends nothing more."""
        self._http.eof_received()

    def pause_writing(self) -> None:
        """Write no more until the peer has read."""
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """Go on writing."""
        self._http.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Note the end."""
        self._close()
        self._http.connection_lost(exc)

    async def _open(self) -> None:
        tls = self._listener.tls
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self, self._socket, ssl=tls, ssl_handshake_timeout=HEADER_TIMEOUT if tls else None
            )
        except OSError:  # no TLS, or no longer there
            self._close()

    def _expire(self) -> None:
        self._listener.peers.note(Refusal.SLOW)
        self.end()

    def _close(self) -> None:
        self._timer.cancel()
        self._listener.forget(self)


@web.middleware
async def serve_connection(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Have a request's connection count as one that is in use, and refuse what only proxies of HTTP are sent.

    The target of a request is a path here, not a URL of another server (RFC 9112, 3.2.2), and not ``*``.
    """
    connection = request.transport.get_protocol() if request.transport is not None else None
    if not isinstance(connection, _Connection):
        return await handler(request)
    with connection.serving():
        if not request.raw_path.startswith("/"):
            return web.Response(status=400, text="found a target that is no path\n")
        try:
            return await handler(request)
        except web.RequestPayloadError:
            connection.note_malformed()
            return web.Response(status=400, text="found a body that is no HTTP\n")
