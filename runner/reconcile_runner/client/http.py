"""The API client over aiohttp: the only place that talks HTTP to the API server.

Watches have connections of their own, so that no number of them can keep a request waiting. Nothing is retried here
but one request after a 401, with credentials read again.
"""

from __future__ import annotations

import asyncio
import io
import os
import socket
import ssl
import sys
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final, Self, TypeAlias
from urllib.parse import urlencode

import aiohttp
from aiohappyeyeballs import AddrInfoType
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict
from yarl import URL

from reconcile_runner import __version__
from reconcile_runner.apimachinery import rawjson
from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.client.api import ACCEPT_JSON, PatchBody, PatchType, WatchEvent
from reconcile_runner.client.config import SERVICE_ACCOUNT, Cluster, load_cluster
from reconcile_runner.client.deadlines import Deadlines
from reconcile_runner.client.decoding import decode_event, decode_object, error_of_answer
from reconcile_runner.client.outage import OutageLog
from reconcile_runner.client.upgrade import Refused, Upgraded, open_upgrade
from reconcile_runner.clock import Clock, SystemClock
from reconcile_runner.errors import ApiUnreachableError
from reconcile_runner.logs import get_logger

_log = get_logger(__name__)

MAX_LINE_BYTES: Final = 16 * 2**20
"""Bytes of one watch event at most. An object is at most 1.5 MiB in etcd; JSON can make it six times as long."""
YIELD_AFTER_BYTES: Final = 2**18
"""Bytes of watch events that are decoded before other tasks get their turn, which is about 2 ms of work."""

_USER_AGENT: Final = f"ansible-reconcile-runner/{__version__}"
_OWN_HEADERS: Final = frozenset({"authorization", "host"})
_NO_AUTO_HEADERS: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


NO_ANSWER: Final = "<error>"
"""The code that observers get for a request without an answer, as in client-go."""

RequestObserver: TypeAlias = Callable[[str, str, str], None]
"""Told of each request's method, the server's host and port, and the HTTP status as text."""


def _ignore(method: str, host: str, code: str) -> None:
    """Observe nothing."""


async def connect(
    kubeconfig: Path | None,
    *,
    environ: Mapping[str, str] = os.environ,
    service_account: Path = SERVICE_ACCOUNT,
    clock: Clock | None = None,
    observe: RequestObserver | None = None,
) -> HttpClient:
    """Return a client for the cluster of ``kubeconfig``, ``KUBECONFIG`` or this Pod.

    The first of the three that is given wins.

    The API server need not answer yet. Raises ``ConfigError`` with one sentence that names the file. Close the client.
    """
    clock = clock or SystemClock()
    return HttpClient(await load_cluster(kubeconfig, environ, service_account, clock), clock, observe)


class HttpClient:
    """Implements ``ApiClient`` for one cluster.

    Made in a running event loop; ``await close()`` ends it.

    The deadlines are for tests to shorten.
    """

    def __init__(
        self,
        cluster: Cluster,
        clock: Clock,
        observe: RequestObserver | None = None,
        *,
        deadlines: Deadlines | None = None,
    ) -> None:
        self._deadlines = deadlines or Deadlines()
        self._cluster = cluster
        self._observe = observe or _ignore
        self._outage = OutageLog(clock)
        endless = aiohttp.ClientTimeout(total=None)
        headers = {"User-Agent": _USER_AGENT}
        connector = make_connector()
        self._requests = aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(self._deadlines.request), headers=headers
        )
        self._forwards = aiohttp.ClientSession(
            connector=connector, connector_owner=False, timeout=endless, auto_decompress=False
        )
        self._watches = aiohttp.ClientSession(
            connector=make_connector(), timeout=endless, headers=headers, read_bufsize=MAX_LINE_BYTES // 2
        )

    @property
    def server(self) -> str:
        """Return the API server's URL, without a slash at its end."""
        return self._cluster.server

    async def close(self) -> None:
        """Close every connection; watches and forwarded requests end."""
        for session in (self._watches, self._forwards, self._requests):
            await session.close()

    async def __aenter__(self) -> Self:
        """Return the client itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        await self.close()

    async def get(self, path: str, params: Mapping[str, str] | None = None, *, accept: str = ACCEPT_JSON) -> KubeObject:
        """Return an object or a list."""
        return await self._request("GET", path, params, {"Accept": accept})

    async def etag(self, path: str, *, accept: str, known: str = "") -> str:
        """Return the entity tag of what is at a path; see ``ApiClient.etag``."""
        headers = {"Accept": accept, **({"If-None-Match": known} if known else {})}
        async with self._failure_explained():
            response = await self._send(self._requests, "GET", self._url(path, None), headers)
            async with response:
                if response.status == HTTPStatus.NOT_MODIFIED:
                    return known
                await self._raise_for_status(response)
                await response.read()
                return response.headers.get("ETag", "")

    async def create(self, path: str, body: KubeObject, *, params: Mapping[str, str] | None = None) -> KubeObject:
        """Create an object."""
        return await self._request("POST", path, params, {"Content-Type": ACCEPT_JSON}, body)

    async def patch(
        self,
        path: str,
        body: PatchBody,
        *,
        patch_type: PatchType = PatchType.MERGE,
        params: Mapping[str, str] | None = None,
    ) -> KubeObject:
        """Change an object."""
        return await self._request("PATCH", path, params, {"Content-Type": patch_type}, body)

    async def update(self, path: str, body: KubeObject) -> KubeObject:
        """Replace a whole object."""
        return await self._request("PUT", path, None, {"Content-Type": ACCEPT_JSON}, body)

    async def delete(self, path: str, *, params: Mapping[str, str] | None = None) -> KubeObject:
        """Delete an object."""
        return await self._request("DELETE", path, params, {})

    async def watch(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        accept: str = ACCEPT_JSON,
        stall_timeout: float | None = None,
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[WatchEvent, None]:
        """Yield what happens to a list; see ``ApiClient.watch``."""
        url = self._url(path, {**params, "watch": "true"})
        async with self._failure_explained():
            # Compression would hold events back until a block is full.
            headers = {"Accept": accept, "Accept-Encoding": "identity"}
            response = await self._send(
                self._watches, "GET", url, headers, sock_read=stall_timeout or self._deadlines.silence
            )
            async with response:
                await self._raise_for_status(response)
                if on_open is not None:
                    on_open()
                async for line in _lines(response):
                    yield await decode_event(line, self.server)

    async def forward(
        self,
        method: str,
        path_qs: str,
        headers: Mapping[str, str],
        body: AsyncIterable[bytes] | bytes | None,
        *,
        is_stream: bool = False,
    ) -> aiohttp.ClientResponse:
        """Send a request with the operator's credentials; return the raw answer.

        The caller's credentials are dropped.

        Its body is not decompressed and its status not looked at, but a 401 is tried once more with credentials read
        again where the body can be sent twice (it is not an iterable). What is no stream has ``Deadlines.forward``, to
        the end of the answer's body, whose reader gets a ``TimeoutError``. The caller releases the answer. Raises
        ``ApiUnreachableError``.
        """
        url = URL(self.server + path_qs, encoded=True)
        kept = _without_own(headers)
        total = None if is_stream else self._deadlines.forward
        return await self._send(
            self._forwards, method, url, kept, data=body, total=total, skip_auto_headers=_NO_AUTO_HEADERS
        )

    async def upgrade(self, method: str, path_qs: str, headers: Mapping[str, str], body: bytes) -> Upgraded | Refused:
        """Open a connection for the protocol that ``headers`` name (WebSocket, SPDY).

        A 401 is tried once more. Close it. Raises ``ApiUnreachableError`` where nothing answered.
        """
        credentials = self._cluster.credentials

        async def try_once(header: str) -> Upgraded | Refused:
            own = _without_own(headers)
            if header:
                own["Authorization"] = header
            return await open_upgrade(self._cluster, method, path_qs, own, body, self._deadlines)

        header = await credentials.authorization()
        async with self._outage_noted(method):
            answer = await try_once(header)
            if not isinstance(answer, Refused) or answer.status != HTTPStatus.UNAUTHORIZED:
                return answer
            if not await credentials.renew(header):
                return answer
            return await try_once(await credentials.authorization())

    async def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None,
        headers: Mapping[str, str],
        body: PatchBody | None = None,
    ) -> KubeObject:
        data = None if body is None else rawjson.dumps(body)
        async with self._failure_explained():
            response = await self._send(self._requests, method, self._url(path, params), headers, data=data)
            async with response:
                await self._raise_for_status(response)
                return await decode_object(await response.read(), self.server)

    async def _send(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        *,
        data: AsyncIterable[bytes] | bytes | None = None,
        sock_read: float | None = None,
        total: float | None = None,
        skip_auto_headers: Sequence[str] = (),
    ) -> aiohttp.ClientResponse:
        """Return the answer; try once more after a 401 if there is a new token."""
        header = await self._cluster.credentials.authorization()
        timeout = aiohttp.ClientTimeout(
            total or session.timeout.total, sock_read=sock_read, sock_connect=self._deadlines.connect
        )

        async def send_once(header: str) -> aiohttp.ClientResponse:
            own = CIMultiDict(headers)
            if header:
                own["Authorization"] = header
            response = await session.request(
                method,
                url,
                headers=own,
                # aiohttp warns of large bytes, which it would write in one go.
                data=io.BytesIO(data) if isinstance(data, bytes) else data,
                timeout=timeout,
                ssl=self._tls(),
                server_hostname=self._cluster.server_name or None,
                proxy=self._cluster.proxy or None,
                skip_auto_headers=skip_auto_headers,
                allow_redirects=False,
            )
            self._observe(method, url.authority, str(response.status))
            return response

        can_repeat = data is None or isinstance(data, bytes)
        # A body that is still arriving may break off by itself, which would look like an outage.
        async with self._outage_noted(method) if can_repeat else self._failure_explained("gave no answer"):
            response = await send_once(header)
            if (
                response.status == HTTPStatus.UNAUTHORIZED
                and can_repeat
                and await self._cluster.credentials.renew(header)
            ):
                response.release()
                response = await send_once(await self._cluster.credentials.authorization())
        return response

    def _tls(self) -> ssl.SSLContext | bool:
        """Return how to encrypt the next connection.

        One that is open goes on with what it was opened with.
        """
        return self._cluster.tls.context() if self._cluster.tls is not None else True

    def _url(self, path: str, params: Mapping[str, str] | None) -> URL:
        query = f"?{urlencode(params)}" if params else ""
        return URL(f"{self.server}{path}{query}", encoded=True)

    async def _raise_for_status(self, response: aiohttp.ClientResponse) -> None:
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise error_of_answer(response.status, response.headers, await response.read())

    @asynccontextmanager
    async def _outage_noted(self, method: str) -> AsyncIterator[None]:
        """Say once that the server does not answer, and once that it does again.

        Every informer, run and probe meets the same outage; this is the one place that sees all of them, so theirs
        need no line in the log. An answer that breaks off later says nothing about reachability.
        """
        try:
            async with self._failure_explained("gave no answer"):
                yield
        except ApiUnreachableError as error:
            self._observe(method, URL(self.server).authority, NO_ANSWER)
            if self._outage.should_log("unreachable"):
                _log.warning("API server cannot be reached, trying again", error=str(error))
            raise
        lasted = self._outage.end()
        if lasted is not None:
            _log.info("API server can be reached again", server=self.server, seconds=lasted)

    @asynccontextmanager
    async def _failure_explained(self, what: str = "broke off its answer") -> AsyncIterator[None]:
        """Raise ``ApiUnreachableError`` for errors of aiohttp and of sockets.

        Its message names the server and the cause.
        """
        try:
            yield
        except (aiohttp.ClientError, HttpProcessingError, OSError, EOFError) as error:
            raise ApiUnreachableError(f"{self.server} {what}: {cause_of(error)}") from error


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield the lines of a watch, the last of which may be cut.

    Lets other tasks run during a burst.
    """
    since_yield = 0
    while line := await response.content.readline():
        since_yield += len(line)
        if since_yield > YIELD_AFTER_BYTES:
            since_yield = 0
            await asyncio.sleep(0)
        if not line.isspace():
            yield line


def _without_own(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return what is passed on of a request's headers.

    One may stand there several times (SPDY's protocols do).
    """
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _OWN_HEADERS)


def make_connector() -> aiohttp.TCPConnector:
    """Return a pool of connections without a limit; callers bound themselves."""
    return aiohttp.TCPConnector(limit=0, socket_factory=make_socket)


def make_socket(address: AddrInfoType) -> socket.socket:
    """Return a socket with keep-alive: a dead peer is found within a minute.

    That holds also where no request waits for an answer.
    """
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return made


def cause_of(error: BaseException) -> str:
    """Return in one line, for people, why a request or its answer failed."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"TLS: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientSSLError):
        return f"TLS: {error.os_error}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"its name cannot be resolved: {error.os_error.strerror}"
    if isinstance(error, (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError)):
        return "the connection was cut"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "connecting took too long"
    if isinstance(error, TimeoutError):
        return "it stayed silent for too long"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split()) or type(error).__name__
