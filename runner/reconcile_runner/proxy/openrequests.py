"""What one run has open through the proxy, so that all of it ends with the run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class OpenRequests:
    """The requests of one run that are being served, in an event loop."""

    def __init__(self) -> None:
        self._open: dict[asyncio.Task[object], asyncio.Transport] = {}

    @contextmanager
    def serving(self, transport: asyncio.Transport) -> Iterator[None]:
        """Have the block's task end with the run, and the connection with it."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a request is served by a task")
        self._open[task] = transport
        try:
            yield
        finally:
            del self._open[task]

    def end(self) -> None:
        """Cut every connection, and cancel what serves it.

        What waits to be read is dropped: a peer that reads nothing would keep its connection. Nothing more is sent to
        the API server in the name of the run, and its answers to it are given up.
        """
        for task, transport in self._open.items():
            transport.abort()
            task.cancel("the run has ended")
