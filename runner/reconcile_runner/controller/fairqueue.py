"""Requests that are ready, one namespace after the other: nobody stands behind all of another tenant's objects."""

from __future__ import annotations

from collections import OrderedDict

from reconcile_runner.controller.reconcile import Request


class FairQueue:
    """Requests, each with the time since when it waits. Every operation costs O(1).

    Namespaces take turns, and within a namespace who came first is first. Cluster-scoped objects are one namespace.
    """

    def __init__(self) -> None:
        self._since: OrderedDict[Request, float] = OrderedDict()
        self._turns: OrderedDict[str, OrderedDict[Request, None]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many requests wait."""
        return len(self._since)

    def __contains__(self, request: Request) -> bool:
        """Tell whether a request waits."""
        return request in self._since

    def add(self, request: Request, since: float) -> None:
        """Put a request behind those of its namespace. It must not wait already."""
        self._since[request] = since
        self._turns.setdefault(request.namespace, OrderedDict())[request] = None

    def take(self) -> tuple[Request, float]:
        """Take the first request of the namespace whose turn it is. Raises ``KeyError`` where none waits."""
        namespace, requests = self._turns.popitem(last=False)
        request, _ = requests.popitem(last=False)
        if requests:
            self._turns[namespace] = requests
        return request, self._since.pop(request)

    def remove(self, request: Request) -> float:
        """Take a request out of its turn; return since when it waited."""
        requests = self._turns[request.namespace]
        del requests[request]
        if not requests:
            del self._turns[request.namespace]
        return self._since.pop(request)

    def first_added(self) -> float | None:
        """Return since when the request waits that was added first; None where none waits."""
        return next(iter(self._since.values()), None)
