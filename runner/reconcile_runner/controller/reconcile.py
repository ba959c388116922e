"""Request and Outcome: what goes into a reconciler and what comes out.

A request is only (namespace, name), so that nothing downstream can depend on which event caused it. ``workqueue`` holds
requests, ``controller`` hands each to a ``Reconciler`` and turns the ``Outcome`` into forget, requeue or back-off in
one ``match``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from reconcile_runner.apimachinery.objects import ObjectKey

Request: TypeAlias = ObjectKey
"""Which object to bring to its desired state."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The object is as it should be. Look again after ``requeue_after`` seconds (None: only when something happens)."""

    requeue_after: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The object is not as it should be: try again, later each time. ``message`` is for logs, in one line or more."""

    message: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """There is nothing to do: the object is gone, or not selected. Forget it until something happens."""

    reason: str


Outcome: TypeAlias = Succeeded | Failed | Ignored


class Reconciler(Protocol):
    """Brings one object to its desired state. Never called twice at a time for one request."""

    async def reconcile(self, request: Request) -> Outcome:
        """Reconcile and say how it went. An exception counts as ``Failed`` and is logged with its traceback."""
