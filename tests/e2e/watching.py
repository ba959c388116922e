"""What happened to an object, as the API server told it: a watch in a thread, and all that it saw."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from reconcile_devcluster.api import ApiServer

_LIFETIME = 3600
"""Seconds: longer than any test."""


@dataclass
class History:
    """Objects of a collection as they were one after the other. ``states`` is appended to while the watch is open."""

    states: list[dict[str, Any]] = field(default_factory=list)
    failure: str = ""

    def checked(self) -> list[dict[str, Any]]:
        """Return the states; fails where the watch ended and some may be missing."""
        assert not self.failure, self.failure
        return list(self.states)


@contextmanager
def watched(api: ApiServer, collection: str, **params: str) -> Iterator[History]:
    """Watch a collection from now on until the block ends, with further parameters of the request."""
    connection = http.client.HTTPSConnection(api.host, api.port, context=api.tls)
    query = urlencode({"watch": "true", "timeoutSeconds": _LIFETIME, **params})
    headers = {"Authorization": f"Bearer {api.token}"} if api.token else {}
    connection.request("GET", f"{collection}?{query}", headers=headers)
    answer = connection.getresponse()
    assert answer.status == http.HTTPStatus.OK, answer.read()
    history, over = History(), threading.Event()
    reader = threading.Thread(target=_read, args=(answer, history, over), name=f"watch {collection}", daemon=True)
    reader.start()
    try:
        yield history
    finally:
        over.set()
        if connection.sock is not None:
            connection.sock.shutdown(socket.SHUT_RDWR)
        reader.join(timeout=10)
        connection.close()


def _read(answer: http.client.HTTPResponse, history: History, over: threading.Event) -> None:
    try:
        for line in answer:
            event = json.loads(line)
            history.states.append(event["object"])
    except (OSError, ValueError, http.client.HTTPException) as error:
        if not over.is_set():
            history.failure = f"the watch ended: {error!r}"
    else:
        if not over.is_set():
            history.failure = "the watch ended"
