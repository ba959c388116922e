"""The controller of one watch: its workers, and what follows each reconcile.

A worker takes a request from the workqueue, calls the reconciler, and turns the outcome into forget, requeue or
back-off.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Final

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.clock import Clock, Timer
from reconcile_runner.controller.concurrency import ConcurrencyLimit
from reconcile_runner.controller.reconcile import Failed, Ignored, Outcome, Reconciler, Request, Succeeded
from reconcile_runner.controller.workqueue import Priority, WorkQueue
from reconcile_runner.logs import LogKey, get_logger, reconcile_context
from reconcile_runner.metrics import Metrics, ReconcileResult

GRACEFUL_SHUTDOWN_TIMEOUT: Final = 30.0
"""Seconds that running reconciles may go on after ``stop``.

The default of ``--graceful-shutdown-timeout``.
"""

FIRST_DELAY_BEFORE_TASKS: Final = 1.0
"""Seconds that a request waits at least for its next try if it failed before the first task."""

STUCK_RECONCILE_TIMEOUT: Final = 60.0
"""Seconds beyond the run timeout after which a reconcile counts as stuck."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ControllerOptions:
    """How a controller works. Times are in seconds.

    ``limit`` is shared with the controllers of other watches: a worker takes no request before it has one of its slots.
    Once ``may_start`` returns False, no reconcile starts any more and the workers end. ``run_timeout`` is the longest
    that one reconcile should take; 0: any time.
    """

    workers: int = 1
    graceful_shutdown_timeout: float = GRACEFUL_SHUTDOWN_TIMEOUT
    run_timeout: float = 0.0
    limit: ConcurrencyLimit = field(default_factory=lambda: ConcurrencyLimit(None))
    may_start: Callable[[], bool] = lambda: True


@dataclass(frozen=True, slots=True)
class _Raised:
    """The reconciler raised an exception: a defect of the operator."""

    message: str


class Controller:
    """Reconciles what its queue holds, never one request twice at a time.

    The queue's name is the controller's, in metrics, tasks and logs.
    """

    def __init__(
        self,
        gvk: GroupVersionKind,
        queue: WorkQueue,
        reconciler: Reconciler,
        metrics: Metrics,
        clock: Clock,
        options: ControllerOptions,
    ) -> None:
        self.name = queue.name
        self._gvk = gvk
        self._queue = queue
        self._reconciler = reconciler
        self._metrics = metrics.for_controller(self.name, gvk, options.workers)
        self._clock = clock
        self._options = options
        self._grace_timer: Timer | None = None
        self._workers: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        """Reconcile until ``stop`` was called and no reconcile runs any more.

        Cancelling ``run`` cancels the running reconciles at once. Either way none is running when it returns.
        """
        try:
            async with asyncio.TaskGroup() as group:
                self._workers = [
                    group.create_task(self._work(), name=f"{self.name} worker {number}")
                    for number in range(1, self._options.workers + 1)
                ]
        finally:
            if self._grace_timer is not None:
                self._grace_timer.cancel()

    def stop(self) -> None:
        """Take no further request, and end ``run`` once the running reconciles end.

        Those still running after the graceful shutdown timeout are cancelled. Requests that wait are dropped: the next
        start reconciles every object.
        """
        self._queue.shut_down()
        if self._grace_timer is None:
            self._grace_timer = self._clock.call_later(self._options.graceful_shutdown_timeout, self._interrupt)

    def running(self) -> dict[Request, float]:
        """Return for how many seconds each running reconcile has been running."""
        return self._queue.in_work()

    def problem(self) -> str | None:
        """Name the reconciles that take much longer than the run timeout, or return None."""
        timeout = self._options.run_timeout
        if not timeout:
            return None
        limit = timeout + STUCK_RECONCILE_TIMEOUT
        stuck = [str(request) for request, seconds in self.running().items() if seconds > limit]
        return f"stuck in a reconcile: {', '.join(stuck)}" if stuck else None

    def _interrupt(self) -> None:
        running = sorted(str(request) for request in self._queue.in_work())
        if running:
            _log.warning("the grace period is over: interrupting reconciles", controller=self.name, requests=running)
        for worker in self._workers:
            worker.cancel()

    async def _work(self) -> None:
        while await self._queue.reserve():
            async with self._options.limit.slot(self._queue.urgency):
                if not self._options.may_start():
                    return
                request = self._queue.take()
                if request is not None:
                    await self._serve(request)

    async def _serve(self, request: Request) -> None:
        self._metrics.started()
        started = self._clock.monotonic()
        try:
            with reconcile_context(self._gvk, request, str(uuid.uuid4())):
                outcome = await self._reconcile(request)
                self._conclude(request, outcome, self._clock.monotonic() - started)
        finally:
            self._metrics.stopped()
            self._queue.done(request)

    async def _reconcile(self, request: Request) -> Outcome:
        """Call the reconciler; an exception is a failure of this request alone, and told on its object."""
        outcome = await self._contained(self._reconciler.reconcile(request))
        if not isinstance(outcome, _Raised):
            return outcome
        told = await self._contained(self._reconciler.tell(request, outcome.message))
        return Failed(outcome.message) if isinstance(told, _Raised) else told

    async def _contained(self, work: Coroutine[object, object, Outcome]) -> Outcome | _Raised:
        """Return what the reconciler returns, or the exception that it raised."""
        try:
            return await work
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            self._metrics.panicked()
            _log.exception("the reconciler was cancelled from within")
            return _Raised("the reconciler was cancelled from within")
        except Exception as error:  # noqa: BLE001 - a defect met by one object must not stop the work on all others
            self._metrics.panicked()
            _log.exception("the reconciler raised an exception")
            return _Raised(f"{type(error).__name__}: {error}")

    def _conclude(self, request: Request, outcome: Outcome, seconds: float) -> None:
        """Forget, requeue or back off: the only place that decides what follows."""
        match outcome:
            case Succeeded(requeue_after=delay):
                self._queue.forget(request)
                self._metrics.tried(seconds, succeeded=True)
                if delay is None or delay <= 0:
                    result = ReconcileResult.SUCCESS
                else:
                    self._queue.add_after(request, delay, Priority.BACKGROUND)
                    result = ReconcileResult.REQUEUE_AFTER
            case Failed(message=message, has_begun=has_begun):
                delay = self._queue.add_rate_limited(request, 0.0 if has_begun else FIRST_DELAY_BEFORE_TASKS)
                self._metrics.tried(seconds, succeeded=False)
                result = ReconcileResult.ERROR
                _log.error("reconcile failed", **_failure_keys(message, delay, self._queue.failures(request), seconds))
            case Ignored(reason=reason):
                self._queue.forget(request)
                result = ReconcileResult.SUCCESS
                _log.debug("nothing to reconcile", reason=reason)
        self._metrics.finished(result, seconds)


def _failure_keys(message: str, delay: float, failures: int, seconds: float) -> dict[str, str | float]:
    return {
        LogKey.ERROR.value: message,
        LogKey.REQUEUE_AFTER_SECONDS.value: delay,
        LogKey.DURATION_SECONDS.value: round(seconds, 3),
        "failures": failures,
    }


def _is_being_cancelled() -> bool:
    """Whether this task itself is cancelled, not something that it waited for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
