"""Ask etcd, over its socket in the data directory, for its health.

Used by `controlplane` before it starts kube-apiserver, which gives up when etcd is not there yet.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconcile_devcluster.layout import DataDirectory

_TIMEOUT = 5.0
"""Seconds one request may take."""


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over etcd's socket, reached through its directory because a socket's path must be short."""

    def __init__(self, directory: DataDirectory) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._directory = directory

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT)
        descriptor = os.open(self._directory.root, os.O_PATH | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{descriptor}/{self._directory.etcd_socket.name}")
        finally:
            os.close(descriptor)


def etcd_is_healthy(directory: DataDirectory) -> bool:
    """Whether etcd serves and has a leader."""
    try:
        status, answer = request(directory, "GET", "/health", None)
        return status == http.HTTPStatus.OK and json.loads(answer).get("health") == "true"
    except (OSError, http.client.HTTPException, ValueError):
        return False


def request(directory: DataDirectory, method: str, path: str, body: str | None) -> tuple[int, bytes]:
    """Send a request to etcd's gRPC gateway; return status and body of its answer."""
    connection = _SocketConnection(directory)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
