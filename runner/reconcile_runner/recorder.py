"""The recorder: Kubernetes Events, by which ``kubectl describe`` tells what the operator did with an object.

``reconciler`` and ``source`` record what happened; ``run`` sends it in the background, so that nobody waits for it and
nothing depends on it. Events are for people, never one for each run: what is said again is counted, an object has a
budget, and so has the operator. Legacy ``v1`` Events and not ``events.k8s.io/v1``: every ``kubectl`` shows their count
and sorts by their time, and the rules that operators ship with allow them. For users: docs/reference/status.md.
"""

from __future__ import annotations

import asyncio
import enum
import secrets
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from reconcile_runner.apimachinery.objects import KubeObject, key_of, resource_version, uid
from reconcile_runner.client import ApiClient, PatchType
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ApiError, ApiUnreachableError, ForbiddenError, NotFoundError
from reconcile_runner.logs import get_logger

COMPONENT: Final = "reconcile-runner"
"""Who an Event comes from."""

REPEAT_PERIOD: Final = 60.0
"""Seconds in which an Event that is said again and again of an object, and nothing else, is written once at most."""

REASON_BURST: Final = 5
REASON_PERIOD: Final = 60.0
"""An object has so many writes for one reason at first, and one more each so many seconds."""

RATE: Final = 10.0
BURST: Final = 50
"""Requests a second for Events of all objects, and how many of them at once."""

DENIED_PAUSE: Final = 600.0
"""Seconds without any Event after the API server refused one for want of a right."""

MOST_WAITING: Final = 1000
"""Events that wait to be sent; more are dropped."""

MOST_REMEMBERED: Final = 5000
"""Objects of which Events are remembered; the longest silent are forgotten."""

MOST_SAID: Final = 20
"""Events of one object that are remembered."""

MESSAGE_LIMIT: Final = 1024
"""Characters of a message (the API server's limit)."""

_NAME_LIMIT = 220
_ROUNDING = 1e-6
"""Tokens that may be missing because time is counted in floating point."""

_log = get_logger(__name__)


class Severity(enum.StrEnum):
    """An Event's ``type``."""

    NORMAL = "Normal"
    WARNING = "Warning"


class Reason(enum.StrEnum):
    """An Event's ``reason``: what people and alerts look for."""

    RECONCILED = "Reconciled"
    FAILED = "ReconcileFailed"
    FINALIZED = "Finalized"
    FINALIZER_FAILED = "FinalizerFailed"
    TRIGGERED = "Triggered"
    PAUSED = "Paused"


@dataclass(slots=True)
class _Series:
    """One Event and how often it was said. ``path`` is empty until the API server has it."""

    body: KubeObject
    count: int = 0
    written_at: float = 0.0
    path: str = ""
    is_waiting: bool = False


class _Budget:
    """Tokens that come back with time: ``burst`` at first, one more each ``period`` seconds."""

    def __init__(self, burst: int, period: float, clock: Clock) -> None:
        self._burst = burst
        self._period = period
        self._clock = clock
        self._tokens = float(burst)
        self._since = clock.monotonic()

    def missing(self) -> float:
        """Return the seconds until there is a token."""
        now = self._clock.monotonic()
        self._tokens = min(float(self._burst), self._tokens + (now - self._since) / self._period)
        self._since = now
        return max(0.0, (1 - self._tokens) * self._period)

    def spend(self) -> bool:
        """Take a token, if there is one."""
        if self.missing() > _ROUNDING * self._period:
            return False
        self._tokens -= 1
        return True


class _Subject:
    """What has been said of one object: each Event by reason and message, the latest, and what may be said yet."""

    def __init__(self) -> None:
        self.said: OrderedDict[tuple[Reason, str], _Series] = OrderedDict()
        self.latest: _Series | None = None
        self.budgets: dict[Reason, _Budget] = {}


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class EventRecorder:
    """Records Events about objects of any kind. Of several operators only the one that ``is_leading`` speaks."""

    def __init__(self, client: ApiClient, clock: Clock, is_leading: Callable[[], bool] = lambda: True) -> None:
        self._client = client
        self._clock = clock
        self._is_leading = is_leading
        self._subjects: OrderedDict[str, _Subject] = OrderedDict()
        self._rate = _Budget(BURST, 1 / RATE, clock)
        self._waiting: asyncio.Queue[_Series] = asyncio.Queue(MOST_WAITING)
        self._silent_until = 0.0
        self._has_warned = False

    def record(self, obj: KubeObject, severity: Severity, reason: Reason, message: str) -> None:
        """Say something about an object. Never blocks and never raises; may be dropped, or counted for later."""
        if not self._is_leading() or self._clock.monotonic() < self._silent_until:
            return
        subject = self._subject(uid(obj))
        message = "; ".join(message.splitlines())[:MESSAGE_LIMIT]  # a line of a table in kubectl
        series = subject.said.get((reason, message))
        if series is None:
            series = _Series(self._body(obj, severity, reason, message))
            subject.said[reason, message] = series
            _forget_oldest(subject.said, MOST_SAID)
        series.count += 1
        # A change is worth a write; what is only said once more can wait.
        due = subject.latest is not series or self._clock.monotonic() - series.written_at >= REPEAT_PERIOD
        if due and subject.budgets.setdefault(reason, _Budget(REASON_BURST, REASON_PERIOD, self._clock)).spend():
            subject.latest = series
            series.written_at = self._clock.monotonic()
            self._send_later(series)

    async def run(self) -> None:
        """Send what was recorded, forever."""
        while True:
            series = await self._waiting.get()
            while not self._rate.spend():
                await self._clock.sleep(self._rate.missing())
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
        said = {"count": series.count, "firstTimestamp": now, "lastTimestamp": now}
        path = f"/api/v1/namespaces/{meta['namespace']}/events"
        await self._client.create(path, {**series.body, "metadata": {**meta, "name": name}, **said})
        series.path = f"{path}/{name}"

    def _dropped(self, series: _Series, error: ApiError | ApiUnreachableError) -> None:
        if not isinstance(error, ForbiddenError) or "being terminated" in str(error):
            _log.debug("an event is dropped", error=str(error), message=series.body["message"])
            return
        self._silent_until = self._clock.monotonic() + DENIED_PAUSE
        while not self._waiting.empty():
            self._waiting.get_nowait().is_waiting = False
        if not self._has_warned:
            self._has_warned = True
            _log.warning(
                "no events are recorded: the operator lacks the right to create and patch them", error=str(error)
            )

    def _subject(self, object_uid: str) -> _Subject:
        subject = self._subjects.setdefault(object_uid, _Subject())
        self._subjects.move_to_end(object_uid)
        _forget_oldest(self._subjects, MOST_REMEMBERED)
        return subject

    def _body(self, obj: KubeObject, severity: Severity, reason: Reason, message: str) -> KubeObject:
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
            "type": str(severity),
            "reason": str(reason),
            "message": message,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": socket.gethostname(),
        }


def _forget_oldest(remembered: OrderedDict[_Key, _Value], most: int) -> None:
    while len(remembered) > most:
        remembered.popitem(last=False)
