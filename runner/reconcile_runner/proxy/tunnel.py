"""Connections that are upgraded from HTTP: exec, attach, port-forward.

Whatever the protocol (WebSocket; SPDY, which older clients speak), it becomes a tunnel of raw bytes once the API server
has agreed to it. Where it has not, the run gets its answer as it came.
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from multidict import CIMultiDict

from reconcile_runner.client import HttpClient, Refused, Upgraded
from reconcile_runner.proxy.forward import kept_headers, request_headers

CHUNK_BYTES = 2**16
"""Bytes of one read at most."""


async def tunnel(request: web.Request, client: HttpClient, body: bytes) -> web.StreamResponse:
    """Join the run's connection to one of the API server's until either closes."""
    answer = await client.upgrade(request.method, request.raw_path, _upgrade_headers(request), body)
    if isinstance(answer, Refused):
        headers = kept_headers(answer.headers)
        return web.Response(status=answer.status, reason=answer.reason, headers=headers, body=answer.body)
    try:
        return await _join(request, answer)
    finally:
        answer.close()


def _upgrade_headers(request: web.Request) -> CIMultiDict[str]:
    headers = request_headers(request)
    headers.update({"Connection": "Upgrade", "Upgrade": request.headers["Upgrade"]})
    return headers


async def _join(request: web.Request, upgraded: Upgraded) -> web.StreamResponse:
    """Copy both ways between the run's connection and the API server's.

    The connection is taken from aiohttp, and gets the API server's agreement first.
    """
    transport = request.transport
    if transport is None:  # the run has hung up
        return web.Response()
    http_protocol = transport.get_protocol()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    writer = asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
    try:
        writer.write(upgraded.head)
        copies = [
            asyncio.create_task(_copy(reader, upgraded.writer), name="tunnel to API server"),
            asyncio.create_task(_copy(upgraded.reader, writer), name="tunnel from API server"),
        ]
        try:
            await asyncio.wait(copies, return_when=asyncio.ALL_COMPLETED)
        finally:
            for copy in copies:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)
    finally:
        writer.close()
        http_protocol.connection_lost(None)
    return web.Response()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copy bytes until the source ends, then end the sink.

    A cut at either end ends both.
    """
    try:
        while data := await source.read(CHUNK_BYTES):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
        else:
            sink.close()
    except ConnectionError:
        sink.close()
