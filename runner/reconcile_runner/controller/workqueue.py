"""The workqueue: each request once, never with two workers, the urgent ones first.

A request is in one place only: ready, waiting for its delay, or in work. Adds of one request merge: the earliest time
and the highest priority win. Semantics: client-go's workqueue with controller-runtime's priorities, and a debounce: a
request that is added again while in work runs again once the adds pause. So a burst costs two runs, not one for each
time that a short run ends. Only ``reserve`` waits; all of it runs in one event loop.
"""

from __future__ import annotations

import asyncio
import enum
import heapq
import itertools
from dataclasses import dataclass, replace
from typing import Final

from reconcile_runner.backoff import RetryDelays
from reconcile_runner.clock import Clock, Timer
from reconcile_runner.controller.budget import NamespaceBudget
from reconcile_runner.controller.fairqueue import FairQueue
from reconcile_runner.controller.reconcile import Request
from reconcile_runner.metrics import Metrics

MAX_BACKGROUND_WAIT: Final = 60.0
"""Seconds after which the oldest background request gets a share of the picks.

It does however many live requests wait.
"""

MAX_LIVE_PICKS: Final = 3
"""Live requests taken in a row while a background request has waited too long.

The background request is next.
"""

DEBOUNCE_PERIOD: Final = 0.1
"""Seconds without another add after which a request re-added in work runs again."""

MAX_DEBOUNCE: Final = 2.0
"""Seconds after its first add in work at which it runs again, pause or not."""

_TIMER_TOLERANCE: Final = 1e-6
"""Seconds by which a timer may fire early (rounding) and still counts as due."""

_MAX_STALE_ENTRIES: Final = 64
"""Superseded delays beyond half of the heap before the heap is rebuilt."""


class Priority(enum.IntEnum):
    """Which request is taken first, the higher number.

    The numbers are controller-runtime's, and values of the label ``priority`` of ``workqueue_depth``.
    """

    BACKGROUND = -100
    """First lists and periodic reconciles: nobody waits for them."""

    LIVE = 0
    """Changes: someone may wait for their effect."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A request that should run.

    ``since`` is its first add, ``latest`` its last one, in the clock's seconds.
    """

    priority: Priority
    since: float
    latest: float


@dataclass(frozen=True, slots=True)
class _Delayed:
    """A request that does not run before ``due``, in the clock's seconds.

    ``order`` tells its heap entry from superseded ones. ``burst`` is set if it only waits for its adds to pause.
    """

    priority: Priority
    due: float
    order: int
    burst: _Wanted | None = None


@dataclass(frozen=True, slots=True)
class _Failing:
    """How often a request has failed in a row, and the delay after the last time, in seconds."""

    failures: int = 0
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class _InWork:
    """A request that a worker holds, with the priority that it was taken with."""

    priority: Priority
    started: float


class WorkQueue:
    """The queue of one controller. It has the controller's name in the metrics.

    ``debounce`` is in seconds. Every operation costs O(1), or O(log n) in the number of delayed requests.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        metrics: Metrics,
        retry_delays: RetryDelays | None = None,
        debounce: float = DEBOUNCE_PERIOD,
    ) -> None:
        self.name = name
        self._retry_delays = retry_delays or RetryDelays()
        self._clock = clock
        self._metrics = metrics.for_queue(name, Priority, self._unfinished_seconds, self._longest_running)
        self._debounce = debounce
        self._ready = {priority: FairQueue() for priority in Priority}
        self._budget = NamespaceBudget(clock)
        self._available = asyncio.Semaphore(0)
        self._passed_over = 0
        self._in_work: dict[Request, _InWork] = {}
        self._readded: dict[Request, _Wanted] = {}
        self._delayed: dict[Request, _Delayed] = {}
        self._heap: list[tuple[float, int, Request]] = []
        self._order = itertools.count()
        self._timer: Timer | None = None
        self._timer_due = 0.0
        self._failing: dict[Request, _Failing] = {}
        self._closed = False

    def in_work(self) -> dict[Request, float]:
        """Return for how many seconds each request in work has been in work."""
        now = self._clock.monotonic()
        return {request: now - work.started for request, work in self._in_work.items()}

    def failures(self, request: Request) -> int:
        """Return how often a request failed since it was last forgotten."""
        return self._failing.get(request, _Failing()).failures

    def add(self, request: Request, priority: Priority = Priority.LIVE) -> bool:
        """Enqueue a request; return False if it was enqueued already.

        A ready one is moved up if ``priority`` is higher. One that waits for its delay becomes ready. One in work runs
        once more when it is done and its adds pause.
        """
        if self._closed:
            return False
        if self._is_wanted(request):
            self._raise_priority(request, priority)
            self._prolong_burst(request)
            return False
        delayed = self._delayed.pop(request, None)
        if delayed is not None:
            priority = max(priority, delayed.priority)
            self._arm_timer()
        now = self._clock.monotonic()
        self._want(request, _Wanted(priority, now, now))
        return True

    def add_after(self, request: Request, delay: float, priority: Priority) -> None:
        """Enqueue a request in ``delay`` seconds (<= 0: now), if it is not due earlier."""
        if self._closed:
            return
        if delay <= 0:
            self.add(request, priority)
            return
        if self._is_wanted(request):
            self._raise_priority(request, priority)
            return
        due = self._clock.monotonic() + delay
        pending = self._delayed.get(request)
        if pending is not None:
            due = min(due, pending.due)
            priority = max(priority, pending.priority)
        self._delay(request, priority, due)

    def add_foreign(self, request: Request, namespace: str) -> bool:
        """Enqueue a request that an object of another namespace asks for; return False if it comes soon anyway.

        It is a background request, and waits where the budget of ``namespace`` is spent.
        """
        delay = self._budget.delay(namespace)
        delayed = self._delayed.get(request)
        is_coming = delayed is not None and delayed.due <= self._clock.monotonic() + delay
        if self._closed or is_coming or self._is_wanted(request):
            return False
        self._budget.spend(namespace)
        self.add_after(request, delay, Priority.BACKGROUND)
        return True

    def add_rate_limited(self, request: Request, first_delay: float = 0.0) -> float:
        """Enqueue a request that failed, after a longer delay each time; return the delay.

        Delays are in seconds. ``first_delay`` is the shortest one for this failure.

        The request keeps the priority that it was taken with, as in controller-runtime: a live one stays ahead of the
        background, and a background one does not get ahead because it failed.
        """
        before = self._failing.get(request, _Failing())
        delay = self._retry_delays.after(before.failures + 1, first_delay, before.delay)
        self._failing[request] = _Failing(before.failures + 1, delay)
        self._metrics.retried()
        work = self._in_work.get(request)
        self.add_after(request, delay, work.priority if work else Priority.LIVE)
        return delay

    def forget(self, request: Request) -> None:
        """Forget a request's failures: the next delay is the shortest again.

        A retry that is pending stays pending.
        """
        self._failing.pop(request, None)

    async def reserve(self) -> bool:
        """Wait until a request is ready for the caller; False: the queue was shut down.

        The caller then calls ``take`` once, which decides which request it gets. So a worker that waits for something
        else in between holds up no request.
        """
        await self._available.acquire()
        if self._closed:
            self._available.release()  # wakes the next worker that waits
        return not self._closed

    def take(self) -> Request | None:
        """Take a request after ``reserve``; None: the queue was shut down.

        The caller must call ``done`` for it.

        Live requests come first. Of each priority, namespaces take turns, and the oldest request of a namespace is its
        first. Once the oldest background request has waited longer than ``MAX_BACKGROUND_WAIT``, it follows after
        ``MAX_LIVE_PICKS`` live ones, also when these keep coming.
        """
        return None if self._closed else self._take(self._choose())

    def urgency(self) -> Priority:
        """Return the highest priority among the requests that are ready."""
        return max((priority for priority, ready in self._ready.items() if ready), default=Priority.BACKGROUND)

    def done(self, request: Request) -> None:
        """Give back a request that was taken.

        If it was added meanwhile, it runs again once its adds pause.
        """
        work = self._in_work.pop(request)
        self._metrics.done(self._clock.monotonic() - work.started)
        readded = self._readded.pop(request, None)
        if readded is not None:
            self._run_after_burst(request, readded)

    def shut_down(self) -> None:
        """Drop what waits and what is added from now on, and wake all workers."""
        self._closed = True
        self._delayed.clear()
        self._heap.clear()
        self._arm_timer()
        self._available.release()

    def _is_wanted(self, request: Request) -> bool:
        """Whether a request is ready, re-added in work, or waiting for its adds to pause."""
        if request in self._readded or any(request in ready for ready in self._ready.values()):
            return True
        delayed = self._delayed.get(request)
        return delayed is not None and delayed.burst is not None

    def _want(self, request: Request, wanted: _Wanted) -> None:
        """Enqueue a request that is not wanted yet."""
        self._metrics.added()
        if request in self._in_work:
            self._readded[request] = wanted
        else:
            self._make_ready(request, wanted)

    def _raise_priority(self, request: Request, priority: Priority) -> None:
        """Move a wanted request up where ``priority`` is higher than its own."""
        readded, delayed = self._readded.get(request), self._delayed.get(request)
        if readded is not None:
            self._readded[request] = replace(readded, priority=max(readded.priority, priority))
        elif delayed is not None:
            self._delayed[request] = replace(delayed, priority=max(delayed.priority, priority))
        elif priority is Priority.LIVE and request in self._ready[Priority.BACKGROUND]:
            self._ready[Priority.LIVE].add(request, self._ready[Priority.BACKGROUND].remove(request))
            self._show_depth(Priority.BACKGROUND)
            self._show_depth(Priority.LIVE)

    def _prolong_burst(self, request: Request) -> None:
        """Note another add of a wanted request. A ready one has nothing to wait for."""
        now = self._clock.monotonic()
        readded, delayed = self._readded.get(request), self._delayed.get(request)
        if readded is not None:
            self._readded[request] = replace(readded, latest=now)
        elif delayed is not None and delayed.burst is not None:
            burst = replace(delayed.burst, priority=delayed.priority, latest=now)
            self._run_after_burst(request, burst)

    def _run_after_burst(self, request: Request, burst: _Wanted) -> None:
        """Make a request ready once its adds pause, or after ``MAX_DEBOUNCE``."""
        due = min(burst.latest + self._debounce, burst.since + MAX_DEBOUNCE)
        if due > self._clock.monotonic():
            self._delay(request, burst.priority, due, burst)
        else:
            self._delayed.pop(request, None)
            self._make_ready(request, burst)

    def _make_ready(self, request: Request, wanted: _Wanted) -> None:
        self._ready[wanted.priority].add(request, wanted.since)
        self._show_depth(wanted.priority)
        self._available.release()

    def _choose(self) -> Priority:
        """Return the priority of the next pick.

        A background request goes first only after live ones passed it while it had waited too long. A single live
        request starts in the next free slot, however old the backlog is.
        """
        live, background = self._ready[Priority.LIVE], self._ready[Priority.BACKGROUND]
        now = self._clock.monotonic()
        first_added = background.first_added()
        is_overdue = first_added is not None and now - first_added > MAX_BACKGROUND_WAIT
        if not live or (is_overdue and self._passed_over >= MAX_LIVE_PICKS):
            self._passed_over = 0
            return Priority.BACKGROUND
        if is_overdue:
            self._passed_over += 1
        return Priority.LIVE

    def _take(self, priority: Priority) -> Request:
        request, since = self._ready[priority].take()
        now = self._clock.monotonic()
        self._in_work[request] = _InWork(priority, now)
        self._metrics.taken(now - since)
        self._show_depth(priority)
        return request

    def _delay(self, request: Request, priority: Priority, due: float, burst: _Wanted | None = None) -> None:
        entry = _Delayed(priority, due, next(self._order), burst)
        self._delayed[request] = entry
        heapq.heappush(self._heap, (due, entry.order, request))
        self._drop_stale_entries()
        self._arm_timer()

    def _arm_timer(self) -> None:
        """Set the one timer to the end of the first delay."""
        while self._heap and not self._is_current(self._heap[0]):
            heapq.heappop(self._heap)
        if self._timer is not None:
            if self._heap and self._heap[0][0] == self._timer_due:
                return
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer_due = self._heap[0][0]
            self._timer = self._clock.call_later(max(0.0, self._timer_due - self._clock.monotonic()), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        now = self._clock.monotonic()
        while self._heap and self._heap[0][0] <= now + _TIMER_TOLERANCE:
            entry = heapq.heappop(self._heap)
            if self._is_current(entry):
                self._end_delay(entry[2], now)
        self._arm_timer()

    def _end_delay(self, request: Request, now: float) -> None:
        delayed = self._delayed.pop(request)
        if delayed.burst is not None:
            self._make_ready(request, replace(delayed.burst, priority=delayed.priority))
        else:
            self._want(request, _Wanted(delayed.priority, now, now))

    def _is_current(self, entry: tuple[float, int, Request]) -> bool:
        _, order, request = entry
        delayed = self._delayed.get(request)
        return delayed is not None and delayed.order == order

    def _drop_stale_entries(self) -> None:
        if len(self._heap) > 2 * len(self._delayed) + _MAX_STALE_ENTRIES:
            self._heap = [entry for entry in self._heap if self._is_current(entry)]
            heapq.heapify(self._heap)

    def _show_depth(self, priority: Priority) -> None:
        self._metrics.waiting(priority, len(self._ready[priority]))

    def _unfinished_seconds(self) -> float:
        return sum(self.in_work().values())

    def _longest_running(self) -> float:
        return max(self.in_work().values(), default=0.0)
