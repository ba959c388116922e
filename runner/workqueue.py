"""The workqueue: each request once, never one request to two workers, the urgent ones first.

``source`` adds what events ask for, ``controller`` takes requests, and says when it is done with one and whether to
try again. A request is in one place only: ready, or waiting for its delay, and, besides, in work. Adds of one request
join: the earliest time and the highest priority win. Semantics: client-go's workqueue with controller-runtime's
priorities; nothing blocks but ``get``, and all of it runs in one event loop.
"""

from __future__ import annotations

import asyncio
import enum
import heapq
import itertools
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from runner.clock import Clock, Timer
from runner.metrics import Metrics
from runner.reconcile import Request

FIRST_RETRY_DELAY: Final = 0.005
"""Seconds before the first retry; each further one doubles it (client-go's default)."""

LONGEST_RETRY_DELAY: Final = 1000.0
"""Seconds that a retry waits at most (client-go's default)."""

AGEING: Final = 60.0
"""Seconds after which the oldest background request gets its share of the workers, however many live ones wait."""

BACKGROUND_SHARE: Final = 4
"""Of so many picks, one goes to an aged background request. The other picks stay with live ones."""

_TIMER_SLACK: Final = 1e-6
"""Seconds by which a timer may fire early (rounding) and still counts as due."""

_STALE_ENTRIES_ALLOWED: Final = 64
"""Superseded delays may make up half of the heap, and this many more, before it is rebuilt."""


class Priority(enum.IntEnum):
    """Who goes first. The numbers are controller-runtime's, and the ``priority`` label of ``workqueue_depth``."""

    BACKGROUND = -100
    """Initial lists, resyncs and periodic reconciles: nobody waits for them."""

    LIVE = 0
    """What somebody just changed."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request that wants to run, since when (clock seconds)."""

    priority: Priority
    since: float


@dataclass(frozen=True, slots=True)
class _Delayed:
    """A request that runs not before ``due`` (clock seconds). ``order`` tells its heap entry from superseded ones."""

    priority: Priority
    due: float
    order: int


@dataclass(frozen=True, slots=True)
class _InWork:
    """A request that a worker holds. ``priority`` is the one it was taken with."""

    priority: Priority
    started: float


class WorkQueue:
    """The queue of one controller, whose name it has in the metrics.

    ``ageing`` is in seconds. Every operation costs O(1), or O(log n) in the number of delayed requests.
    """

    def __init__(self, name: str, clock: Clock, metrics: Metrics, ageing: float = AGEING) -> None:
        self._clock = clock
        self._metrics = metrics.for_queue(name, Priority, self._unfinished_seconds, self._longest_running)
        self._ageing = ageing
        self._ready: dict[Priority, OrderedDict[Request, float]] = {priority: OrderedDict() for priority in Priority}
        self._available = asyncio.Semaphore(0)
        self._passed_over = 0
        self._in_work: dict[Request, _InWork] = {}
        self._changed_in_work: dict[Request, _Waiting] = {}
        self._delayed: dict[Request, _Delayed] = {}
        self._heap: list[tuple[float, int, Request]] = []
        self._order = itertools.count()
        self._timer: Timer | None = None
        self._timer_due = 0.0
        self._failures: dict[Request, int] = {}
        self._closed = False

    @property
    def depth(self) -> int:
        """Return how many requests are ready and wait for a worker."""
        return sum(len(ready) for ready in self._ready.values())

    @property
    def delayed(self) -> int:
        """Return how many requests wait for their delay to pass."""
        return len(self._delayed)

    def in_work(self) -> dict[Request, float]:
        """Return for how many seconds each request in work has been in work."""
        now = self._clock.monotonic()
        return {request: now - work.started for request, work in self._in_work.items()}

    def failures(self, request: Request) -> int:
        """Return how often a request failed since it was last forgotten."""
        return self._failures.get(request, 0)

    def add(self, request: Request, priority: Priority = Priority.LIVE) -> bool:
        """Ask for a run, as soon as a worker is free.

        A request that waits already is moved up when ``priority`` is higher; one in work runs once more when it is
        done; one that waits for its delay waits no longer. Returns whether the request was not ready already.
        """
        if self._closed:
            return False
        delayed = self._delayed.pop(request, None)
        if delayed is not None:
            priority = max(priority, delayed.priority)
            self._arm_timer()
        return self._put(request, _Waiting(priority, self._clock.monotonic()))

    def add_after(self, request: Request, delay: float, priority: Priority) -> None:
        """Ask for a run in ``delay`` seconds (<= 0: now), unless one is due earlier."""
        if self._closed:
            return
        if delay <= 0 or self._is_ready(request):
            self.add(request, priority)
            return
        due = self._clock.monotonic() + delay
        pending = self._delayed.get(request)
        if pending is not None:
            due = min(due, pending.due)
            priority = max(priority, pending.priority)
        entry = _Delayed(priority, due, next(self._order))
        self._delayed[request] = entry
        heapq.heappush(self._heap, (due, entry.order, request))
        self._drop_stale_entries()
        self._arm_timer()

    def add_rate_limited(self, request: Request) -> float:
        """Ask for another try after a failure, later each time: 5 ms, 10 ms, … 1000 s. Returns the delay in seconds.

        A retry keeps the priority that the failed run was taken with (as in controller-runtime): what somebody waits
        for stays ahead of the background, and a background request does not get ahead by failing.
        """
        failures = self._failures.get(request, 0)
        self._failures[request] = failures + 1
        delay = float(min(LONGEST_RETRY_DELAY, FIRST_RETRY_DELAY * 2 ** min(failures, 32)))
        self._metrics.retried()
        self.postpone(request, delay)
        return delay

    def postpone(self, request: Request, delay: float) -> None:
        """Ask for a run in ``delay`` seconds with the priority of the one in work; not a failure."""
        work = self._in_work.get(request)
        self.add_after(request, delay, work.priority if work else Priority.LIVE)

    def forget(self, request: Request) -> None:
        """Forget a request's failures: the next one is retried after 5 ms again. A pending retry stays pending."""
        self._failures.pop(request, None)

    async def get(self) -> Request | None:
        """Wait for a request and take it; the caller owes a ``done``. None: the queue was shut down.

        Live requests come first, the oldest of each priority first. Once the oldest background request has waited
        longer than ``ageing``, one pick in ``BACKGROUND_SHARE`` is its, also when live ones keep coming.
        """
        await self._available.acquire()
        if self._closed:
            self._available.release()  # passes the news on to the next worker that waits
            return None
        return self._take(self._choose())

    def done(self, request: Request) -> None:
        """Give back a request taken with ``get``. If it was added meanwhile, it is ready again."""
        work = self._in_work.pop(request)
        self._metrics.done(self._clock.monotonic() - work.started)
        changed = self._changed_in_work.pop(request, None)
        if changed is not None:
            self._make_ready(request, changed)

    def shut_down(self) -> None:
        """Hand out nothing any more: ``get`` returns None at once, adds are dropped, delays end without effect."""
        self._closed = True
        self._delayed.clear()
        self._heap.clear()
        self._arm_timer()
        self._available.release()

    def _put(self, request: Request, waiting: _Waiting) -> bool:
        """Take up a request that wants to run now. Returns whether it did not already."""
        if request in self._in_work:
            known = self._changed_in_work.get(request)
            if known is not None:
                waiting = _Waiting(max(known.priority, waiting.priority), known.since)
            self._changed_in_work[request] = waiting
            if known is None:
                self._metrics.added()
            return known is None
        if self._is_ready(request):
            if waiting.priority is Priority.LIVE:
                self._move_up(request)
            return False
        self._metrics.added()
        self._make_ready(request, waiting)
        return True

    def _is_ready(self, request: Request) -> bool:
        return request in self._changed_in_work or any(request in ready for ready in self._ready.values())

    def _make_ready(self, request: Request, waiting: _Waiting) -> None:
        self._ready[waiting.priority][request] = waiting.since
        self._show_depth(waiting.priority)
        self._available.release()

    def _move_up(self, request: Request) -> None:
        since = self._ready[Priority.BACKGROUND].pop(request, None)
        if since is not None:
            self._ready[Priority.LIVE][request] = since
            self._show_depth(Priority.BACKGROUND)
            self._show_depth(Priority.LIVE)

    def _choose(self) -> Priority:
        """Say which priority the next pick serves.

        Only a background request that live ones kept passing while it was aged gets ahead of one: a single live request
        starts in the next free slot, however old the backlog is.
        """
        live, background = self._ready[Priority.LIVE], self._ready[Priority.BACKGROUND]
        aged = bool(background) and self._clock.monotonic() - next(iter(background.values())) > self._ageing
        if not live or (aged and self._passed_over >= BACKGROUND_SHARE - 1):
            self._passed_over = 0
            return Priority.BACKGROUND
        if aged:
            self._passed_over += 1
        return Priority.LIVE

    def _take(self, priority: Priority) -> Request:
        request, since = self._ready[priority].popitem(last=False)
        now = self._clock.monotonic()
        self._in_work[request] = _InWork(priority, now)
        self._metrics.taken(now - since)
        self._show_depth(priority)
        return request

    def _arm_timer(self) -> None:
        """Have the timer fire when the first delay ends; one timer serves all."""
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
        while self._heap and self._heap[0][0] <= now + _TIMER_SLACK:
            entry = heapq.heappop(self._heap)
            if self._is_current(entry):
                request = entry[2]
                self._put(request, _Waiting(self._delayed.pop(request).priority, now))
        self._arm_timer()

    def _is_current(self, entry: tuple[float, int, Request]) -> bool:
        _, order, request = entry
        delayed = self._delayed.get(request)
        return delayed is not None and delayed.order == order

    def _drop_stale_entries(self) -> None:
        if len(self._heap) > 2 * len(self._delayed) + _STALE_ENTRIES_ALLOWED:
            self._heap = [entry for entry in self._heap if self._is_current(entry)]
            heapq.heapify(self._heap)

    def _show_depth(self, priority: Priority) -> None:
        self._metrics.waiting(priority, len(self._ready[priority]))

    def _unfinished_seconds(self) -> float:
        return sum(self.in_work().values())

    def _longest_running(self) -> float:
        return max(self.in_work().values(), default=0.0)
