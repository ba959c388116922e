"""Connections to the API server: how they are opened, and in one line why one could not be or was cut.

`http` sends requests over them.
"""

from __future__ import annotations

import socket
import sys

import aiohttp
from aiohappyeyeballs import AddrInfoType


def make_connector() -> aiohttp.TCPConnector:
    """Return a pool of connections without a limit of its own: what asks for many bounds itself."""
    return aiohttp.TCPConnector(limit=0, socket_factory=make_socket)


def make_socket(address: AddrInfoType) -> socket.socket:
    """Return a socket whose dead peer is found within a minute even where nobody waits for it to say something."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    return made


def cause_of(error: BaseException) -> str:
    """Return in one line why a request or its answer failed, without what people cannot use of it."""
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
