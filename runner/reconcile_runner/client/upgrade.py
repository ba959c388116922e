"""Connections upgraded to another protocol: WebSocket, SPDY.

Only the handshake is HTTP: one request, the head of one answer. What follows is bytes, which nobody here looks into.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from multidict import CIMultiDict
from yarl import URL

from reconcile_runner.client.config import Cluster
from reconcile_runner.client.deadlines import Deadlines
from reconcile_runner.errors import ApiUnreachableError

_END_OF_HEAD: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """A connection that speaks another protocol from now on.

    ``head``: the API server's 101, as it was sent.
    """

    head: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def close(self) -> None:
        """Cut the connection."""
        self.writer.transport.abort()


@dataclass(frozen=True, slots=True)
class Refused:
    """The API server's answer where it did not agree."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


async def open_upgrade(
    cluster: Cluster, method: str, path_qs: str, headers: Mapping[str, str], body: bytes, deadlines: Deadlines
) -> Upgraded | Refused:
    """Ask the API server to upgrade.

    ``headers`` say to what, and hold the credentials.

    Raises ``ApiUnreachableError`` for what is no answer; ``OSError`` and ``EOFError`` as the network does.
    """
    url = URL(cluster.server)
    async with asyncio.timeout(deadlines.connect):
        reader, writer = await _connect(cluster, url)
    try:
        writer.write(_request_head(method, f"{url.raw_path.rstrip('/')}{path_qs}", url, headers, len(body)) + body)
        async with asyncio.timeout(deadlines.upgrade):
            head = await reader.readuntil(_END_OF_HEAD)
        async with asyncio.timeout(deadlines.connect):
            answer = await _read_refusal(head, reader)
    except (ValueError, IndexError, asyncio.LimitOverrunError) as error:
        writer.transport.abort()
        raise ApiUnreachableError(f"{cluster.server} did not answer as an API server: {error}") from error
    except BaseException:
        writer.transport.abort()
        raise
    if answer is None:
        return Upgraded(head, reader, writer)
    writer.transport.abort()
    return answer


async def _connect(cluster: Cluster, url: URL) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the API server, through its HTTP proxy where there is one."""
    tls = cluster.tls.context() if cluster.tls is not None else None
    server_name = (cluster.server_name or url.host) if tls is not None else None
    if not cluster.proxy:
        return await asyncio.open_connection(url.host, url.port, ssl=tls, server_hostname=server_name)
    reader, writer = await _through(URL(cluster.proxy), url)
    if tls is not None:
        await writer.start_tls(tls, server_hostname=server_name)
    return reader, writer


async def _through(proxy: URL, url: URL) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Have a proxy connect (RFC 9110, 9.3.6)."""
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    lines = [f"CONNECT {url.host}:{url.port} HTTP/1.1", f"Host: {url.host}:{url.port}"]
    if proxy.user is not None:
        credentials = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        status, reason, _ = _parse_head(await reader.readuntil(_END_OF_HEAD))
    except (ValueError, IndexError, asyncio.LimitOverrunError) as error:
        writer.transport.abort()
        raise ApiUnreachableError(f"proxy-url {proxy.with_user(None)} did not answer as a proxy: {error}") from error
    except BaseException:
        writer.transport.abort()
        raise
    if status != HTTPStatus.OK:
        writer.transport.abort()
        raise ApiUnreachableError(f"proxy-url {proxy.with_user(None)}: it answered {status} {reason}")
    return reader, writer


async def _read_refusal(head: bytes, reader: asyncio.StreamReader) -> Refused | None:
    """Return the answer that begins with ``head``; None where it is a 101."""
    status, reason, headers = _parse_head(head)
    if status == HTTPStatus.SWITCHING_PROTOCOLS:
        return None
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read()
    return Refused(status, reason, headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    """Read a body of chunks (RFC 9112, 7.1), but for what may follow the last one."""
    body = b""
    while length := int((await reader.readline()).partition(b";")[0], 16):
        body += await reader.readexactly(length)
        await reader.readline()
    return body


def _request_head(method: str, target: str, url: URL, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {url.authority}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {length}", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def _parse_head(head: bytes) -> tuple[int, str, CIMultiDict[str]]:
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    _, status, reason = f"{first} ".split(" ", 2)
    fields = (line.partition(":") for line in lines)
    return int(status), reason.strip(), CIMultiDict((name.strip(), value.strip()) for name, _, value in fields)
