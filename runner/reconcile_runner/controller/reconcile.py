"""Request and Outcome: what goes into a reconciler and what comes out.

A request is a namespace and a name, so nothing behind the queue can depend on which event made it. The controller turns
an outcome into forget, requeue or back-off in one ``match``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from reconcile_runner.apimachinery.objects import ObjectKey

Request: TypeAlias = ObjectKey
"""The object to bring to its desired state."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The object is as it should be.

    Reconcile it again after ``requeue_after`` seconds; None: only when something happens.
    """

    requeue_after: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The object is not as it should be: try again, after a longer delay each time.

    ``message`` is for the log, and may have several lines. ``has_begun``: whether a task was started; a failure before
    the first task is about the operator's files and settings, and does not go away within milliseconds.
    """

    message: str
    has_begun: bool = True


@dataclass(frozen=True, slots=True)
class Ignored:
    """There is nothing to do until something happens.

    The object is gone or not selected, or a failure that a retry cannot change was reported.
    """

    reason: str


Outcome: TypeAlias = Succeeded | Failed | Ignored


class Reconciler(Protocol):
    """Brings one object to its desired state.

    It is never called twice at a time for one request.
    """

    async def reconcile(self, request: Request) -> Outcome:
        """Reconcile an object.

        An exception counts as ``Failed``, and is logged with its traceback.
        """

    async def tell(self, request: Request, message: str) -> Outcome:
        """Write to an object that ``reconcile`` raised an exception; return what follows."""
