"""The recorder: Kubernetes Events, as ``kubectl describe`` shows them.

Events are sent in the background: nothing waits for them, and nothing depends on them. They are for people, so not each
run has one: a repeated one is counted, and there is a rate limit for each object and for the operator. They are ``v1``
Events and not ``events.k8s.io/v1``: every ``kubectl`` shows their count and sorts by their time, and the rules that
operators ship with allow them. Reference for users: docs/reference/status.md.
"""

from __future__ import annotations

import asyncio
import enum
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cachetools import FIFOCache, LRUCache

from reconcile_runner.apimachinery.objects import KubeObject, key_of, resource_version, uid
from reconcile_runner.client import ApiClient, PatchType
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ApiError, ApiUnreachableError, ForbiddenError, NotFoundError
from reconcile_runner.logs import get_logger

COMPONENT: Final = "reconcile-runner"
"""Who an Event comes from."""

REPEAT_PERIOD: Final = 60.0
"""Seconds between two writes of an object's Event that repeats.

After another Event of the object it is written at once.
"""

MAX_REASON_BURST: Final = 5
REASON_PERIOD: Final = 60.0
"""Events of one object and reason at once, and seconds until one more is written."""

MAX_RATE: Final = 10.0
MAX_BURST: Final = 50
"""Requests a second for Events of all objects, and how many of them at once."""

FORBIDDEN_PERIOD: Final = 600.0
"""Seconds without any Event after the API server refused one for want of a right."""

MAX_WAITING: Final = 1000
"""Events that wait to be sent; more are dropped."""

MAX_OBJECTS: Final = 5000
"""Objects whose Events are remembered; the least recently used are forgotten."""

MAX_EVENTS_PER_OBJECT: Final = 20
"""Events of one object that are remembered; the oldest are forgotten."""

MESSAGE_LIMIT: Final = 1024
"""Characters of a message (the API server's limit)."""

_NAME_LIMIT: Final = 220
"""Characters of the object's name in the Event's name."""

_TOKEN_TOLERANCE: Final = 1e-6
"""Tokens that may be missing because time is counted in floating point."""

_log = get_logger(__name__)


class KubeEventType(enum.StrEnum):
    """An Event's ``type``."""

    NORMAL = "Normal"
    WARNING = "Warning"


class Reason(enum.StrEnum):
    """An Event's ``reason``, by which people and alerts find it."""

    RECONCILED = "Reconciled"
    FAILED = "ReconcileFailed"
    FINALIZED = "Finalized"
    FINALIZER_FAILED = "FinalizerFailed"
    TRIGGERED = "Triggered"
    PAUSED = "Paused"
    STATUS_NOT_WRITTEN = "StatusNotWritten"
    STATUS_REFUSED = "StatusRefused"


@dataclass(slots=True)
class _Series:
    """One Event and how often it was recorded.

    ``path`` is empty until the API server has it.
    """

    body: KubeObject
    count: int = 0
    written_at: float = 0.0
    path: str = ""
    is_waiting: bool = False


class _TokenBucket:
    """A rate limiter: ``burst`` tokens at first, one more each ``period`` seconds."""

    def __init__(self, burst: int, period: float, clock: Clock) -> None:
        self._burst = burst
        self._period = period
        self._clock = clock
        self._tokens = float(burst)
        self._since = clock.monotonic()

    def missing(self) -> float:
        """Return the seconds until there is a token; 0: there is one."""
        now = self._clock.monotonic()
        self._tokens = min(float(self._burst), self._tokens + (now - self._since) / self._period)
        self._since = now
        return max(0.0, (1 - self._tokens) * self._period)

    def spend(self) -> bool:
        """Take a token; return False if there is none."""
        if self.missing() > _TOKEN_TOLERANCE * self._period:
            return False
        self._tokens -= 1
        return True


class _ObjectEvents:
    """The Events of one object by reason and message, and its rate limiters by reason."""

    def __init__(self) -> None:
        self.series: FIFOCache[tuple[Reason, str], _Series] = FIFOCache(MAX_EVENTS_PER_OBJECT)
        self.latest: _Series | None = None
        self.limiters: dict[Reason, _TokenBucket] = {}


class EventRecorder:
    """Records Events about objects of any kind, while ``is_leading`` returns True."""

    def __init__(self, client: ApiClient, clock: Clock, is_leading: Callable[[], bool] = lambda: True) -> None:
        self._client = client
        self._clock = clock
        self._is_leading = is_leading
        self._objects: LRUCache[str, _ObjectEvents] = LRUCache(MAX_OBJECTS)
        self._limiter = _TokenBucket(MAX_BURST, 1 / MAX_RATE, clock)
        self._waiting: asyncio.Queue[_Series] = asyncio.Queue(MAX_WAITING)
        self._forbidden_until = 0.0
        self._has_warned = False

    def record(self, obj: KubeObject, event_type: KubeEventType, reason: Reason, message: str) -> None:
        """Record an Event about an object; it may be dropped, or only counted.

        It never blocks and never raises.
        """
        if not self._is_leading() or self._clock.monotonic() < self._forbidden_until:
            return
        events = self._objects.setdefault(uid(obj), _ObjectEvents())
        message = "; ".join(message.splitlines())[:MESSAGE_LIMIT]  # a line of a table in kubectl
        series = events.series.get((reason, message))
        if series is None:
            series = events.series[reason, message] = _Series(self._body(obj, event_type, reason, message))
        series.count += 1
        # A change is worth a write; a repetition can wait.
        due = events.latest is not series or self._clock.monotonic() - series.written_at >= REPEAT_PERIOD
        if due and self._limiter_of(events, reason).spend():
            events.latest = series
            series.written_at = self._clock.monotonic()
            self._send_later(series)

    async def run(self) -> None:
        """Send what was recorded, until it is cancelled."""
        while True:
            series = await self._waiting.get()
            while not self._limiter.spend():
                await self._clock.sleep(self._limiter.missing())
            series.is_waiting = False
            try:
                await self._send(series)
            except (ApiError, ApiUnreachableError) as error:
                self._dropped(series, error)

    def _send_later(self, series: _Series) -> None:
        if series.is_waiting:
            return
        if self._waiting.full():
            _log.debug("too many events wait, one is dropped", message=series.body["message"])
            return
        series.is_waiting = True
        self._waiting.put_nowait(series)

    async def _send(self, series: _Series) -> None:
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        if series.path:
            try:
                body: KubeObject = {"count": series.count, "lastTimestamp": now}
                await self._client.patch(series.path, body, patch_type=PatchType.MERGE)
            except NotFoundError:  # the API server forgets Events after an hour
                series.path, series.count = "", 1
            else:
                return
        meta = series.body["metadata"]
        name = f"{series.body['involvedObject']['name'][:_NAME_LIMIT]}.{secrets.token_hex(8)}"
        times = {"count": series.count, "firstTimestamp": now, "lastTimestamp": now}
        path = f"/api/v1/namespaces/{meta['namespace']}/events"
        await self._client.create(path, {**series.body, "metadata": {**meta, "name": name}, **times})
        series.path = f"{path}/{name}"

    def _dropped(self, series: _Series, error: ApiError | ApiUnreachableError) -> None:
        if not isinstance(error, ForbiddenError) or "being terminated" in str(error):
            _log.debug("an event is dropped", error=str(error), message=series.body["message"])
            return
        self._forbidden_until = self._clock.monotonic() + FORBIDDEN_PERIOD
        while not self._waiting.empty():
            self._waiting.get_nowait().is_waiting = False
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "no events are recorded: the operator lacks the right to create and patch them", error=str(error)
            )

    def _limiter_of(self, events: _ObjectEvents, reason: Reason) -> _TokenBucket:
        return events.limiters.setdefault(reason, _TokenBucket(MAX_REASON_BURST, REASON_PERIOD, self._clock))

    def _body(self, obj: KubeObject, event_type: KubeEventType, reason: Reason, message: str) -> KubeObject:
        key = key_of(obj)
        return {
            "apiVersion": "v1",
            "kind": "Event",
            # Events of cluster-scoped objects are in `default`: kubectl looks for them there.
            "metadata": {"namespace": key.namespace or "default"},
            "involvedObject": {
                "apiVersion": obj.get("apiVersion", ""),
                "kind": obj.get("kind", ""),
                "namespace": key.namespace,
                "name": key.name,
                "uid": uid(obj),
                "resourceVersion": resource_version(obj),
            },
            "type": str(event_type),
            "reason": str(reason),
            "message": message,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": socket.gethostname(),
        }
