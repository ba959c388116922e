"""Ask etcd, over its socket in the data directory, for its health and, in tests, for a compaction.

Used by `controlplane` before it starts kube-apiserver, which gives up when etcd is not there yet.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from typing import TYPE_CHECKING, Any

from reconcile_devcluster.errors import DevclusterError

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
        status, answer = _request(directory, "GET", "/health", None)
        return status == http.HTTPStatus.OK and json.loads(answer).get("health") == "true"
    except (OSError, http.client.HTTPException, ValueError):
        return False


def compact(directory: DataDirectory) -> int:
    """Forget all history up to now, so that old resource versions and continue tokens are gone (410).

    An API server that runs on goes on answering from its watch cache; start it again to see the 410.

    Returns:
        The revision compacted to.

    Raises:
        DevclusterError: etcd refused.

    """
    range_answer = _call(directory, "/v3/kv/range", {"key": "AA==", "count_only": True})
    revision = int(range_answer["header"]["revision"])
    _call(directory, "/v3/kv/compaction", {"revision": revision, "physical": True})
    return revision


def _call(directory: DataDirectory, path: str, body: dict[str, Any]) -> dict[str, Any]:
    status, answer = _request(directory, "POST", path, json.dumps(body))
    if status != http.HTTPStatus.OK:
        raise DevclusterError(f"etcd {path}: status {status}: {answer.decode('utf-8', errors='replace')}")
    decoded: dict[str, Any] = json.loads(answer)
    return decoded


def _request(directory: DataDirectory, method: str, path: str, body: str | None) -> tuple[int, bytes]:
    connection = _SocketConnection(directory)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
