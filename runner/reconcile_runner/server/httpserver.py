"""The HTTP servers: probes, metrics for Prometheus, metrics from roles.

They start first and stop last, so that a probe is answered as long as the process lives.
"""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import Final

from aiohttp import web

from reconcile_runner.clock import Clock, SystemClock
from reconcile_runner.errors import ConfigError
from reconcile_runner.metrics import Metrics
from reconcile_runner.options import BindAddress
from reconcile_runner.server.authfilter import Filter
from reconcile_runner.server.healthz import Checks, Probe
from reconcile_runner.server.listener import IDLE_TIMEOUT, Handler, Listener, outside_limits, serve_connection
from reconcile_runner.server.peers import HttpErrors, PeerLog
from reconcile_runner.server.usermetrics import UserMetricError, UserMetrics

METRICS_PATH: Final = "/metrics"

_MAX_REQUEST_BYTES: Final = 64 * 1024
"""Bytes of a request's body; a larger one is answered with 413."""


class HttpServer:
    """One listening address with its routes; with ``tls``, it speaks HTTPS alone."""

    def __init__(
        self,
        name: str,
        address: BindAddress,
        routes: dict[str, Handler],
        *,
        can_post: bool = False,
        tls: ssl.SSLContext | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._name = name
        self._wanted = address
        self._tls = tls
        clock = clock or SystemClock()
        application = web.Application(client_max_size=_MAX_REQUEST_BYTES, middlewares=[serve_connection])
        add_route = application.router.add_post if can_post else application.router.add_get
        for path, handler in routes.items():
            add_route(path, handler)
        peers = PeerLog(name, clock)
        runner = web.AppRunner(
            application,
            access_log=None,
            shutdown_timeout=1.0,
            keepalive_timeout=IDLE_TIMEOUT,
            logger=HttpErrors(peers),
        )
        self._listener = Listener(runner, outside_limits(), peers, clock, tls)
        self.address = address

    def url(self, path: str) -> str:
        """Return the URL of one of its paths, for a client on this machine."""
        host = self.address.host or "127.0.0.1"
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.address.port}{path}"

    async def start(self) -> None:
        """Listen; ``address`` then holds the port that was chosen.

        Raises ``ConfigError`` where that is impossible.
        """
        try:
            port = await self._listener.start(self._wanted.host or None, self._wanted.port)
        except OSError as error:
            where = f"{self._wanted.host}:{self._wanted.port}"
            raise ConfigError(f"{self._name}: cannot listen on {where}: {error.strerror or error}") from error
        self.address = BindAddress(self._wanted.host, port)

    async def stop(self) -> None:
        """Stop listening and end open connections."""
        await self._listener.stop()


def health_server(address: BindAddress, checks: Checks) -> HttpServer:
    """Return the server of ``/healthz`` and ``/readyz``; ``?verbose`` lists checks."""

    def handler(probe: Probe) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            report = checks.report(probe)
            text = report.text(probe, verbose="verbose" in request.query)
            return web.Response(status=200 if report.is_ok else 500, text=text)

        return answer

    routes = {f"/{probe}": handler(probe) for probe in Probe}
    return HttpServer("--health-probe-bind-address", address, routes)


def metrics_server(
    address: BindAddress,
    metrics: Metrics,
    user_metrics: UserMetrics,
    tls: ssl.SSLContext | None = None,
    access: Filter | None = None,
) -> HttpServer:
    """Return the server of ``/metrics`` in Prometheus' text format.

    ``access`` says which requests are answered; None: all.
    """

    async def answer(_: web.Request) -> web.StreamResponse:
        text = metrics.exposition() + user_metrics.exposition()
        return web.Response(body=text, headers={"Content-Type": metrics.content_type})

    handler = answer if access is None else _filtered(access, METRICS_PATH, answer)
    return HttpServer("--metrics-bind-address", address, {METRICS_PATH: handler}, tls=tls)


def _filtered(access: Filter, path: str, handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        refusal = await access.refusal(request.headers.get("Authorization", ""), request.method.lower(), path)
        if refusal is None:
            return await handler(request)
        headers = {"WWW-Authenticate": "Bearer"} if refusal.status is HTTPStatus.UNAUTHORIZED else {}
        return web.Response(status=refusal.status, text=f"{refusal.text}\n", headers=headers)

    return answer


def user_metrics_server(address: BindAddress, user_metrics: UserMetrics) -> HttpServer:
    """Return the server to which roles post their metrics.

    It answers 200, or 400 with what is wrong.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            user_metrics.apply(await request.read())
        except UserMetricError as error:
            return web.Response(status=400, text=f"{error}\n")
        return web.Response()

    return HttpServer("--user-metrics-bind-address", address, {METRICS_PATH: answer}, can_post=True)
