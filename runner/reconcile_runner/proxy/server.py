"""The proxy's server: loopback only, and only with a run's token.

To a run's modules it is the API server. Reads are answered from the cache where possible, writes get an owner, upgrades
become tunnels, and all else is streamed.
"""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web

from reconcile_runner.cache.cache import Cache
from reconcile_runner.client import HttpClient
from reconcile_runner.client.discovery import Discovery, Resource
from reconcile_runner.clock import SystemClock
from reconcile_runner.controller.dependents import Dependents
from reconcile_runner.errors import ApiError, ApiUnreachableError, ConfigError
from reconcile_runner.metrics import Metrics, ProxyAnswer
from reconcile_runner.proxy.authority import AUTHORITY, read_authority
from reconcile_runner.proxy.forward import Forwarder
from reconcile_runner.proxy.intake import Intake
from reconcile_runner.proxy.reads import CACHE_HEADER, CACHE_HIT, CachedReads
from reconcile_runner.proxy.requestinfo import RequestInfo, parse_path
from reconcile_runner.proxy.rights import UsedRights
from reconcile_runner.proxy.tokens import TokenRegistry
from reconcile_runner.proxy.tunnel import tunnel
from reconcile_runner.proxy.writes import WriteProxy
from reconcile_runner.server.listener import Handler, Listener, proxy_limits, serve_connection
from reconcile_runner.server.peers import HttpErrors, PeerLog

LOOPBACK: Final = "127.0.0.1"
MAX_HEADER_BYTES: Final = 2**20
"""Bytes of a request's first line, and of each header: as the API server takes them, for long label selectors."""
_READS: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})


class Proxy:
    """Serves runs on a loopback port.

    ``port`` 0: any free one. ``injects`` False: runs make no dependents.
    """

    def __init__(
        self,
        client: HttpClient,
        discovery: Discovery,
        cache: Cache,
        dependents: Dependents,
        metrics: Metrics,
        port: int = 0,
        *,
        injects: bool = True,
    ) -> None:
        self._client = client
        self._discovery = discovery
        self._dependents = dependents
        self._metrics = metrics
        self._port = port
        self.tokens = TokenRegistry()
        self._rights = UsedRights(metrics)
        self._intake = Intake()
        self._forwarder = Forwarder(client)
        self._reads = CachedReads(cache, discovery)
        self._writes = WriteProxy(
            client,
            self._forwarder,
            self._intake,
            discovery,
            cache,
            dependents,
            injects=injects,
        )
        application = web.Application(middlewares=[serve_connection, self._authenticate], client_max_size=0)
        application.router.add_route("*", "/{path:.*}", self._serve)
        clock = SystemClock()
        peers = PeerLog("--proxy-port", clock)
        runner = web.AppRunner(
            application,
            access_log=None,
            handler_cancellation=True,
            auto_decompress=False,
            shutdown_timeout=1.0,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            logger=HttpErrors(peers),
        )
        self._listener = Listener(runner, proxy_limits(), peers, clock)

    @property
    def url(self) -> str:
        """Return the address in every run's kubeconfig.

        It is one, so that runs share a discovery cache.
        """
        return f"http://{LOOPBACK}:{self._port}"

    async def start(self) -> None:
        """Listen. Raises ``ConfigError`` where the port is taken."""
        try:
            self._port = await self._listener.start(LOOPBACK, self._port)
        except OSError as error:
            raise ConfigError(f"--proxy-port: cannot listen on {LOOPBACK}:{self._port}: {error.strerror}") from error

    async def stop(self) -> None:
        """Stop listening; open requests are ended."""
        await self._listener.stop()
        self._intake.close()

    @web.middleware
    async def _authenticate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            authority = read_authority(request.headers, self.tokens)
        except ApiError as error:
            self._metrics.proxied(ProxyAnswer.REFUSED)
            refusal = _status(error.status, error.reason, str(error))
            refusal.force_close()
            return refusal
        request[AUTHORITY] = authority
        self._rights.count(request, authority)
        if request.transport is None:  # the run has hung up
            return web.Response()
        with authority.run.requests.serving(request.transport):
            response = await handler(request)
            await _write(request, response)
        is_cached = response.headers.get(CACHE_HEADER) == CACHE_HIT
        self._metrics.proxied(ProxyAnswer.CACHE if is_cached else ProxyAnswer.API_SERVER)
        if response.status == HTTPStatus.CREATED:
            self._rights.count_creation(request, authority)
        return response

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            if request.headers.get("Upgrade"):
                async with self._intake.body(request, request[AUTHORITY].run) as body:
                    return await tunnel(request, self._client, body)
            return await self._serve_plain(request)
        except ApiUnreachableError as error:
            return _status(502, "BadGateway", str(error))
        except ApiError as error:
            return _status(error.status, error.reason, str(error))

    async def _serve_plain(self, request: web.Request) -> web.StreamResponse:
        info = parse_path(request.raw_path)
        if info is None:
            return await self._forwarder.stream(request)
        if request.method not in _READS:
            return await self._writes.serve(request, info, request[AUTHORITY].run)
        if request.method == hdrs.METH_GET and _may_be_cached(request):
            answer = self._reads.answer(request, info, request[AUTHORITY].run.writes)
            if answer is not None:
                return answer
            if info.name and not info.subresource and "watch" not in request.query:
                return await self._read_object(request, info)
        return await self._forwarder.stream(request)

    async def _read_object(self, request: web.Request, info: RequestInfo) -> web.StreamResponse:
        """Send the read of one object on.

        The object may be a dependent whose kind is not watched yet.
        """
        resource = await self._resource_of(info)
        dependents = self._dependents
        if resource is None or not dependents.can_watch(resource) or dependents.is_watched(resource):
            return await self._forwarder.stream(request)
        lists_before = dependents.lists_seen(resource)
        answer = await self._forwarder.fetch(request)
        obj = await answer.decoded()
        if obj is not None and obj.get("kind") == resource.gvk.kind:
            dependents.observe(resource, obj, lists_before)
        return answer.response()

    async def _resource_of(self, info: RequestInfo) -> Resource | None:
        try:
            return await self._discovery.resource_of_plural(info.group, info.version, info.plural)
        except (ApiError, ApiUnreachableError):
            return None  # the run gets the error from the read itself


async def _write(request: web.Request, response: web.StreamResponse) -> None:
    """Write an answer to its end.

    aiohttp would do so as well, but after the request has left the run's open ones, however slowly the run reads.
    """
    with contextlib.suppress(ConnectionError):  # the run has hung up, which aiohttp finds by itself
        await response.prepare(request)
        await response.write_eof()


def _may_be_cached(request: web.Request) -> bool:
    """Tell whether the cache may answer: what it holds is what the operator itself may read."""
    return request[AUTHORITY].is_operators and "no-cache" not in request.headers.get("Cache-Control", "").lower()


def _status(code: int, reason: str, message: str) -> web.Response:
    """Return an error in the API server's form, which every Kubernetes client reads."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return web.json_response(body, status=code)
