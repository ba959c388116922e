"""The proxy's server: loopback only, 401 without a run's token, everything else passed through.

A role's modules talk to it as if it were the API server (``kubeconfig``). Bodies are streamed, so that a watch or a log
arrives as it happens; ``exec``, ``attach`` and ``port-forward`` pass as WebSockets. ``client`` adds the operator's
credentials; a run's own never reach the API server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import ClientResponse, WSMsgType, web
from aiohttp.client_ws import ClientWebSocketResponse

from runner.client import HttpClient
from runner.errors import ApiError, ApiUnreachableError, ConfigError
from runner.proxy.tokens import Owner, TokenRegistry

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOOPBACK = "127.0.0.1"

NOT_PASSED_ON = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to one connection (RFC 9110, 7.6.1), and the run's credential."""

OWNER = web.RequestKey("owner", Owner)


class Proxy:
    """Serves runs on a loopback port. ``port`` 0 asks the system for a free one."""

    def __init__(self, client: HttpClient, tokens: TokenRegistry, port: int = 0) -> None:
        self._client = client
        self._tokens = tokens
        self._port = port
        application = web.Application(middlewares=[self._authenticate], client_max_size=0)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, auto_decompress=False, shutdown_timeout=1.0
        )

    @property
    def url(self) -> str:
        """Return the address in a run's kubeconfig: the same for every run, so that discovery caches serve all."""
        return f"http://{LOOPBACK}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises ``ConfigError`` where the port is taken."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, LOOPBACK, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(f"--proxy-port: cannot listen on {LOOPBACK}:{self._port}: {error.strerror}") from error
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening; requests in hand are ended."""
        await self._runner.cleanup()

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        owner = self._tokens.owner_of(token.strip()) if scheme.lower() == "bearer" else None
        if owner is None:
            return _status(401, "Unauthorized", "the token is not that of a run in hand")
        request[OWNER] = owner
        return await handler(request)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            match request.headers.get("Upgrade", "").lower():
                case "":
                    return await self._pass_on(request)
                case "websocket":
                    return await self._bridge(request)
                case other:
                    return _status(400, "BadRequest", f"the proxy upgrades to websocket, not to {other}")
        except ApiUnreachableError as error:
            return _status(502, "BadGateway", str(error))
        except ApiError as error:
            return _status(error.status, error.reason, str(error))

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in NOT_PASSED_ON}
        body = await request.read() if request.can_read_body else None
        upstream = await self._client.forward(request.method, request.raw_path, headers, body)
        try:
            return await _stream(request, upstream)
        finally:
            upstream.close()

    async def _bridge(self, request: web.Request) -> web.StreamResponse:
        offered = [
            name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if name.strip()
        ]
        upstream = await self._client.websocket(request.raw_path, offered)
        downstream = web.WebSocketResponse(protocols=[upstream.protocol] if upstream.protocol else [], max_msg_size=0)
        try:
            await downstream.prepare(request)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(_pump(upstream, downstream), name="websocket from API server")
                pumps.create_task(_pump(downstream, upstream), name="websocket to API server")
        finally:
            await upstream.close()
        return downstream


async def _stream(request: web.Request, upstream: ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
    for name, value in upstream.headers.items():
        if name.lower() not in NOT_PASSED_ON:
            response.headers.add(name, value)
    if upstream.content_length is not None:
        response.content_length = upstream.content_length
    await response.prepare(request)
    async for chunk in upstream.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


Socket: TypeAlias = ClientWebSocketResponse | web.WebSocketResponse


async def _pump(source: Socket, sink: Socket) -> None:
    """Copy messages until the source closes, then close the sink with the same code."""
    async for message in source:
        if message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)
        elif message.type is WSMsgType.TEXT:
            await sink.send_str(message.data)
    await sink.close(code=source.close_code or 1000)


def _status(code: int, reason: str, message: str) -> web.Response:
    """Return an error as the API server words it, so that any Kubernetes client can read it."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return web.json_response(body, status=code)
