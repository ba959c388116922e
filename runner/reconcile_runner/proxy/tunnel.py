"""Connections that are upgraded from HTTP: exec, attach, port-forward.

WebSockets are bridged message by message. Any other protocol (SPDY, which older clients speak) becomes a tunnel of raw
bytes, once the API server has agreed to it.
"""

from __future__ import annotations

import asyncio
from typing import TypeAlias

from aiohttp import WSCloseCode, WSMsgType, web
from aiohttp.client_ws import ClientWebSocketResponse
from multidict import CIMultiDict

from reconcile_runner.client import HttpClient, Upgraded
from reconcile_runner.proxy.forward import request_headers

CHUNK_BYTES = 2**16
"""Bytes of one read at most."""

Socket: TypeAlias = ClientWebSocketResponse | web.WebSocketResponse


async def bridge(request: web.Request, client: HttpClient) -> web.StreamResponse:
    """Join the run's WebSocket to one of the API server's until either closes."""
    headers = ",".join(request.headers.getall("Sec-WebSocket-Protocol", []))
    offered = [name.strip() for name in headers.split(",") if name.strip()]
    upstream = await client.websocket(request.raw_path, offered)
    downstream = web.WebSocketResponse(protocols=[upstream.protocol] if upstream.protocol else [], max_msg_size=0)
    try:
        await downstream.prepare(request)
        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(_pump(upstream, downstream), name="websocket from API server")
            pumps.create_task(_pump(downstream, upstream), name="websocket to API server")
    finally:
        await upstream.close()
    return downstream


async def _pump(source: Socket, sink: Socket) -> None:
    """Copy messages until the source closes, then close the sink with the same code.

    The code is the close frame's: ``close_code`` is 1006 where the API server hung up before its frame was answered.
    """
    while True:
        message = await source.receive()
        match message.type:
            case WSMsgType.BINARY:
                await sink.send_bytes(message.data)
            case WSMsgType.TEXT:
                await sink.send_str(message.data)
            case WSMsgType.CLOSE:
                await sink.close(code=message.data or WSCloseCode.OK)
                return
            case _:  # cut off, or closed by the other pump with its own code
                await sink.close(code=WSCloseCode.INTERNAL_ERROR)
                return


async def tunnel(request: web.Request, client: HttpClient) -> web.StreamResponse:
    """Join the run's connection to one of the API server's until either closes."""
    body = await request.read() if request.can_read_body else b""
    upgraded = await client.upgrade(request.method, request.raw_path, _upgrade_headers(request), body)
    try:
        return await _join(request, upgraded)
    finally:
        upgraded.close()


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
