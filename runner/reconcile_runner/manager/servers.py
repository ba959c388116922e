"""Starts the operator's servers: probes, metrics, metrics of roles."""

from __future__ import annotations

import ssl
from contextlib import AsyncExitStack
from dataclasses import replace

from reconcile_runner.client import HttpClient
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ConfigError
from reconcile_runner.logs import get_logger
from reconcile_runner.metrics import Metrics
from reconcile_runner.options import USER_METRICS_BIND_ADDRESS, BindAddress, Options, SecureServing
from reconcile_runner.server.authfilter import AuthenticationAndAuthorization, Filter
from reconcile_runner.server.certwatcher import open_certificate, serving_context
from reconcile_runner.server.healthz import Checks
from reconcile_runner.server.httpserver import (
    METRICS_PATH,
    HttpServer,
    health_server,
    metrics_server,
    user_metrics_server,
)
from reconcile_runner.server.usermetrics import UserMetrics

_log = get_logger(__name__)


async def start_servers(
    options: Options, checks: Checks, metrics: Metrics, client: HttpClient, clock: Clock, parts: AsyncExitStack
) -> str:
    """Start the servers that the options name.

    Returns the URL to which roles send metrics, empty for none. ``parts`` stops them. Raises ``ConfigError`` where one
    cannot listen.
    """
    user_metrics = UserMetrics(metrics)
    if options.health_probe_bind_address:
        server = health_server(options.health_probe_bind_address, checks)
        await _start(server, "health probes listening", parts)
    if options.metrics_bind_address:
        tls, access = _metrics_security(options.secure_metrics, client, clock)
        server = metrics_server(options.metrics_bind_address, metrics, user_metrics, tls, access)
        await _start(server, "metrics endpoint listening", parts)
    if not options.user_metrics_bind_address:
        return ""
    return await _start_user_metrics(options.user_metrics_bind_address, user_metrics, parts)


async def _start(server: HttpServer, message: str, parts: AsyncExitStack) -> None:
    await server.start()
    parts.push_async_callback(server.stop)
    _log.info(message, address=f"{server.address.host}:{server.address.port}")


async def _start_user_metrics(address: BindAddress, user_metrics: UserMetrics, parts: AsyncExitStack) -> str:
    """Listen for roles' metrics; where the default port is taken, on any free one.

    Another operator on this machine is no reason not to start, unless the user chose the port.
    """
    message = "user metrics endpoint listening"
    server = user_metrics_server(address, user_metrics)
    try:
        await _start(server, message, parts)
    except ConfigError as error:
        if address != USER_METRICS_BIND_ADDRESS:
            raise
        effect = "only osdk_metric of reconcile_runner.util finds it"
        _log.warning("user metrics port is taken, using another one", error=str(error), effect=effect)
        server = user_metrics_server(replace(USER_METRICS_BIND_ADDRESS, port=0), user_metrics)
        await _start(server, message, parts)
    return server.url(METRICS_PATH)


def _metrics_security(
    wanted: SecureServing | None, client: HttpClient, clock: Clock
) -> tuple[ssl.SSLContext | None, Filter | None]:
    if wanted is None:
        return None, None
    certificate = open_certificate(wanted, clock)
    _log.info("metrics endpoint uses TLS", certificate=certificate.name, requires_rbac=wanted.requires_rbac)
    access = AuthenticationAndAuthorization(client, clock) if wanted.requires_rbac else None
    return serving_context(certificate), access
