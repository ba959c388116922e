"""Why there was no answer, in words for people. ``http`` puts them into its errors."""

from __future__ import annotations

import aiohttp


def cause_of(error: BaseException) -> str:
    """Return what kept an answer from coming, for a message that names the server already."""
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
