"""Connections upgraded to a protocol that aiohttp does not speak (SPDY).

Only the handshake is HTTP: one request, the head of one answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from yarl import URL

from reconcile_runner.client.config import Cluster
from reconcile_runner.client.decoding import error_of_answer
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


async def open_upgrade(
    cluster: Cluster, method: str, path_qs: str, headers: Mapping[str, str], body: bytes, connect_timeout: float
) -> Upgraded:
    """Ask the API server to upgrade.

    ``headers`` say to what, and hold the credentials.

    Raises ``ApiError`` for any answer but 101, ``ApiUnreachableError`` for what is no answer; ``OSError`` and
    ``EOFError`` as the network does.
    """
    if cluster.proxy:
        raise ApiUnreachableError(f"{cluster.server}: proxy-url {cluster.proxy} cannot be upgraded through")
    url = URL(cluster.server)
    async with asyncio.timeout(connect_timeout):
        reader, writer = await asyncio.open_connection(
            url.host,
            url.port,
            ssl=cluster.tls.context() if cluster.tls is not None else None,
            server_hostname=(cluster.server_name or url.host) if cluster.tls is not None else None,
        )
    try:
        writer.write(_request_head(method, f"{url.raw_path.rstrip('/')}{path_qs}", url, headers, len(body)) + body)
        head = await _read_agreement(reader)
    except (ValueError, IndexError, asyncio.LimitOverrunError) as error:
        writer.transport.abort()
        raise ApiUnreachableError(f"{cluster.server} did not answer as an API server: {error}") from error
    except BaseException:
        writer.transport.abort()
        raise
    return Upgraded(head, reader, writer)


async def _read_agreement(reader: asyncio.StreamReader) -> bytes:
    """Return the head of a 101; raises ``ApiError`` for another answer."""
    head = await reader.readuntil(_END_OF_HEAD)
    status, headers = _parse_head(head)
    if status == HTTPStatus.SWITCHING_PROTOCOLS:
        return head
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    raise error_of_answer(status, headers, body)


def _request_head(method: str, target: str, url: URL, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {url.authority}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {length}", "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    fields = (line.partition(":") for line in lines)
    return int(first.split()[1]), {name.strip().lower(): value.strip() for name, _, value in fields}
