"""How connections to the API server are opened, and what is said of those that fail."""

from __future__ import annotations

import errno
import socket
import sys

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from reconcile_runner.client.connection import cause_of, make_socket

_KEY = ConnectionKey("api.example", 6443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            aiohttp.ClientConnectorCertificateError(_KEY, ValueError("it is out of date")),
            "TLS: it is out of date",
        ),
        (
            aiohttp.ClientConnectorDNSError(_KEY, OSError(socket.EAI_NONAME, "Name or service not known")),
            "its name cannot be resolved: Name or service not known",
        ),
        (aiohttp.ServerDisconnectedError(), "the connection was cut"),
        (aiohttp.ClientPayloadError("Response payload is not completed"), "the connection was cut"),
        (aiohttp.ConnectionTimeoutError("…"), "connecting took too long"),
        (TimeoutError(), "it stayed silent for too long"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "Connection reset by peer"),
        (EOFError("of two\n  lines"), "of two lines"),
        (EOFError(), "EOFError"),
    ],
)
def test_a_cause_is_one_line_for_people(error: Exception, said: str) -> None:
    assert cause_of(error) == said


@pytest.mark.skipif(sys.platform != "linux", reason="other systems name these options differently")
def test_a_dead_peer_is_found_within_a_minute_where_nobody_waits_for_it() -> None:
    with make_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 6443))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, interval, count = (
            made.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
    assert idle + interval * count <= 60
