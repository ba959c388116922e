"""What follows a status that the API server refuses: its write is tried again, and people are told.

A run that is done is not done again for it. The schema of the kind, an admission policy or a missing right is the
reason, and only a person changes these.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from reconcile_runner.apimachinery.objects import KubeObject, ObjectKey, key_of
from reconcile_runner.backoff import RetryDelays
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ApiError, ApiUnreachableError
from reconcile_runner.logs import get_logger
from reconcile_runner.metrics import Metrics
from reconcile_runner.reconciler.status import Written
from reconcile_runner.recorder import EventRecorder, KubeEventType, Reason

DELAYS: Final = RetryDelays(base=1.0, cap=300.0)
"""How long a refused status waits for its next try."""

_REFUSALS: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)

_log = get_logger(__name__)


def is_refusal(error: ApiError | ApiUnreachableError) -> bool:
    """Tell whether the API server understood a request and will not take it."""
    return isinstance(error, ApiError) and error.status in _REFUSALS


class StatusRetries:
    """Refused statuses of all watches, each tried again until it is taken.

    ``controller`` is the name of an object's controller.
    """

    def __init__(self, metrics: Metrics, recorder: EventRecorder, clock: Clock) -> None:
        self._metrics = metrics
        self._recorder = recorder
        self._clock = clock
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[tuple[str, ObjectKey], asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Try again what is refused, until it is cancelled."""
        async with asyncio.TaskGroup() as self._group:
            await asyncio.Event().wait()

    def refused(
        self, controller: str, obj: KubeObject, error: Exception, write: Callable[[], Awaitable[Written]]
    ) -> None:
        """Report a refusal, and call ``write`` until it no longer raises."""
        self._report(controller, obj, str(error))
        self.drop(controller, key_of(obj))
        if self._group is not None:
            task = self._group.create_task(
                self._retry(controller, obj, str(error), write), name=f"status of {key_of(obj)}"
            )
            self._tasks[controller, key_of(obj)] = task

    def drop(self, controller: str, key: ObjectKey) -> None:
        """Give up an object's refused status: a later run has another, or the object is gone."""
        task = self._tasks.pop((controller, key), None)
        if task is not None:
            task.cancel()

    async def _retry(
        self, controller: str, obj: KubeObject, message: str, write: Callable[[], Awaitable[Written]]
    ) -> None:
        failures = 1
        while True:
            await self._clock.sleep(DELAYS.after(failures))
            failures += 1
            try:
                written = await write()
            except (ApiError, ApiUnreachableError) as error:
                if is_refusal(error):
                    self._metrics.status_refused(controller)
                if str(error) != message:
                    message = str(error)
                    _log.warning("the status is refused: trying to write it again", error=message)
                continue
            if written is not Written.GONE:
                _log.info("the refused status is written", tries=failures)
            self._tasks.pop((controller, key_of(obj)), None)
            return

    def _report(self, controller: str, obj: KubeObject, message: str) -> None:
        self._metrics.status_refused(controller)
        self._recorder.record(
            obj, KubeEventType.WARNING, Reason.STATUS_REFUSED, f"The status cannot be written: {message}"
        )
        _log.warning("the status is refused: trying to write it again", error=message)
