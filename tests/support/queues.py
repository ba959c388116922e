"""What tests ask a workqueue, besides what a worker does."""

from __future__ import annotations

from reconcile_runner.controller.reconcile import Request
from reconcile_runner.controller.workqueue import WorkQueue


def depth(queue: WorkQueue) -> int:
    """Return how many requests are ready and wait for a worker."""
    return sum(len(ready) for ready in queue._ready.values())


async def get(queue: WorkQueue) -> Request | None:
    """Wait for a request and take it, as a worker does; the caller owes a ``done``. None: the queue was shut down."""
    return queue.take() if await queue.reserve() else None


async def drain(queue: WorkQueue) -> list[Request]:
    """Take what is ready, in order, and be done with it."""
    served: list[Request] = []
    while depth(queue):
        request = await get(queue)
        assert request is not None
        queue.done(request)
        served.append(request)
    return served
