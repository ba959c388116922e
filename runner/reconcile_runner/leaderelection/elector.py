"""The elector: campaigns for a Lease, holds it, and gives it back.

The rules are client-go's, and where they leave a gap, stricter: a Lease is free
when it was released, or when its record has not changed for as long as its holder asked for, counted from when *this*
process saw it change, never by the times written in it. Every write carries the resourceVersion of what was read. What
this process may do is counted from *before* it sent its last successful renewal, so that it stops first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.backoff import Backoff
from reconcile_runner.client import ApiClient, OutageLog, WatchEventType
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ApiError, ApiUnreachableError, ConflictError, LeaseLostError, NotFoundError
from reconcile_runner.leaderelection.deadline import DeadlineTimer
from reconcile_runner.leaderelection.lease import (
    NOBODY,
    Candidate,
    collection_path,
    duration_of,
    fresh,
    holder_of,
    released,
    renewed,
    spec_of,
    taken,
)
from reconcile_runner.logs import get_logger
from reconcile_runner.options import ElectionSettings

RETRY_PERIOD: Final = 2.0
"""Seconds from one renewal to the next, and from one attempt to the next (controller-runtime's; there is no flag)."""

RENEWAL_RETRY_PERIOD: Final = 1.0
"""Seconds from a renewal that failed to the next attempt: there are few before the deadline."""

RELEASE_TIMEOUT: Final = 3.0
"""Seconds that a release may take: it only saves the others waiting."""

WATCH_TIMEOUT: Final = 300
"""Seconds after which the API server ends a watch of the Lease."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Sighting:
    """A Lease, and when (of this process's clock) its record was first seen like this."""

    lease: KubeObject
    since: float


class Elector:
    """Implements ``Leadership`` for one Lease, ``lease`` (namespace/name).

    Made in a running event loop.

    ``identity`` must be of this process alone. ``on_loss`` is called once, when what was won is lost.
    """

    def __init__(
        self,
        client: ApiClient,
        settings: ElectionSettings,
        namespace: str,
        identity: str,
        clock: Clock,
        deadline_timer: DeadlineTimer,
        on_loss: Callable[[], None],
    ) -> None:
        self._client = client
        self._settings = settings
        self._namespace = namespace
        self._candidate = Candidate(identity, settings.lease_duration)
        self._clock = clock
        self._deadline_timer = deadline_timer
        self._on_loss = on_loss
        self.lease = f"{namespace}/{settings.name}"
        self._path = f"{collection_path(namespace)}/{settings.name}"
        self._log = _log.bind(lease=self.lease, identity=identity)
        self._outage = OutageLog(clock)
        self._watch_trouble = OutageLog(clock)
        self._seen: _Sighting | None = None
        self._news = asyncio.Event()
        self._is_watching = False
        self._has_claimed = False
        self._renewed_at: float | None = None
        self._elected = asyncio.Event()
        self._is_lost = False

    @property
    def is_lost(self) -> bool:
        """Tell whether this process led and leads no more."""
        return self._is_lost

    def is_leading(self) -> bool:
        """Tell whether this process may act now.

        Once it led, False is final: no renewal counts that comes later.
        """
        return self._renewed_at is not None and not self._is_lost and self._clock.monotonic() < self._deadline()

    async def wait_elected(self) -> None:
        """Wait until this process leads for the first time."""
        await self._elected.wait()

    async def run(self) -> None:
        """Campaign until elected, then renew until that fails; then call ``on_loss``."""
        await self._campaign()
        try:
            while True:
                await self._clock.sleep(RETRY_PERIOD)
                await self._renew()
        except LeaseLostError as error:
            self._is_lost = True
            self._log.error("lease lost: ending all runs and this process", reason=str(error))
            self._on_loss()

    async def release(self) -> None:
        """Leave the Lease to others at once.

        Call it after the end of ``run`` and of whatever must not go on.
        """
        was_lost, self._renewed_at = self._is_lost, None
        if self._has_claimed and not was_lost:
            try:
                async with self._limit(RELEASE_TIMEOUT):
                    await self._release()
            except (ApiError, ApiUnreachableError) as error:
                self._log.warning("lease not released: others wait until it expires", error=str(error))
        self._deadline_timer.cancel()

    # Campaign

    async def _campaign(self) -> None:
        self._log.info("campaigning for the lease")
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(), name="lease watch")
            while not await self._try_to_take():
                await self._wait_for_a_chance()
            watching.cancel()

    async def _try_to_take(self) -> bool:
        """Take the Lease if it is free; tell whether this process holds it."""
        begun = self._clock.monotonic()
        try:
            async with self._limit(self._request_timeout()):
                lease = await self._get()
                self._see(lease)
                if self._seconds_to_expiry() > 0:
                    self._outage.end()
                    return False
                self._note_won(await self._claim(lease), begun)
        except ConflictError as error:
            self._log.debug("another candidate took the lease first", error=str(error))
            await self._clock.sleep(RETRY_PERIOD)
        except (ApiError, ApiUnreachableError) as error:
            if self._outage.should_log(type(error).__name__):
                self._log.warning("cannot read or write the lease, trying again", error=str(error))
            await self._clock.sleep(RETRY_PERIOD)
        return self._renewed_at is not None

    async def _wait_for_a_chance(self) -> None:
        """Wait until the Lease is free as far as this process can see.

        Where it has no watch, until it is to look.
        """
        while (left := self._seconds_to_expiry()) > 0:
            self._news.clear()
            timer = self._clock.call_later(left if self._is_watching else min(left, RETRY_PERIOD), self._news.set)
            try:
                await self._news.wait()
            finally:
                timer.cancel()
            if not self._is_watching:
                return

    def _seconds_to_expiry(self) -> float:
        """Return for how many seconds another holder may still act.

        One whose Lease was deleted may not know so yet.
        """
        if self._seen is None or holder_of(self._seen.lease) in (NOBODY, self._candidate.identity):
            return 0.0
        duration = duration_of(self._seen.lease, self._settings.lease_duration)
        return self._seen.since + duration - self._clock.monotonic()

    def _see(self, lease: KubeObject | None) -> None:
        if lease is None:
            return
        before = self._seen
        if before is not None and spec_of(before.lease) == spec_of(lease):
            return
        self._seen = _Sighting(lease, self._clock.monotonic())
        holder = holder_of(lease)
        is_new = before is None or holder_of(before.lease) != holder
        if is_new and holder != self._candidate.identity:  # the watch may know of a win before the winner
            self._log.info("standing by" if holder else "lease is free", holder=holder)

    async def _watch(self) -> None:
        """Keep ``_seen`` up to date while this process stands by."""
        params = {
            "fieldSelector": f"metadata.name={self._settings.name}",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_TIMEOUT),
        }
        backoff = Backoff()
        while True:
            try:
                events = self._client.watch(collection_path(self._namespace), params, on_open=self._opened)
                async with aclosing(events):
                    async for event in events:
                        if event.type in (WatchEventType.ADDED, WatchEventType.MODIFIED):
                            self._see(event.object)
                            self._news.set()
                backoff.reset()
            except (ApiError, ApiUnreachableError) as error:
                if self._watch_trouble.should_log(type(error).__name__):
                    self._log.info("cannot watch the lease, reading it every 2 s", error=str(error))
            finally:
                if self._is_watching:
                    self._is_watching = False
                    self._news.set()
            await self._clock.sleep(backoff.next())

    def _opened(self) -> None:
        self._is_watching = True
        self._watch_trouble.end()

    # Leading

    async def _renew(self) -> None:
        """Renew the Lease, trying until it works.

        Raises ``LeaseLostError`` where that is not possible in time.
        """
        while True:
            begun = self._clock.monotonic()
            try:
                async with self._limit(min(self._deadline() - begun, self._request_timeout())):
                    written = await self._write_renewal()
            except (ApiError, ApiUnreachableError) as error:
                self._end_if_too_late(str(error))
                if self._outage.should_log(type(error).__name__):
                    self._log.warning("cannot renew the lease, trying again", error=str(error))
                await self._clock.sleep(min(RENEWAL_RETRY_PERIOD, self._deadline() - self._clock.monotonic()))
                self._end_if_too_late(str(error))
            else:
                self._end_if_too_late("the answer came too late")
                self._note_renewed(written, begun)
                return

    async def _write_renewal(self) -> KubeObject:
        """Write what this process knows to be its own.

        Where that is not so any more, look first.
        """
        if self._seen is None:
            raise LeaseLostError("nothing is known of the lease")
        try:
            return await self._client.update(self._path, renewed(self._seen.lease, self._candidate, self._clock.now()))
        except (ConflictError, NotFoundError):
            lease = await self._get()
            holder = NOBODY if lease is None else holder_of(lease)
            if holder not in (NOBODY, self._candidate.identity):
                raise LeaseLostError(f"{holder} holds it") from None
            return await self._claim(lease)

    def _end_if_too_late(self, why: str) -> None:
        if self._clock.monotonic() >= self._deadline():
            raise LeaseLostError(f"it could not be renewed for {self._settings.renew_deadline:g} s: {why}")

    def _deadline(self) -> float:
        return (self._renewed_at or 0.0) + self._settings.renew_deadline

    def _note_won(self, lease: KubeObject, begun: float) -> None:
        self._note_renewed(lease, begun)
        self._elected.set()
        self._log.info("leading")

    def _note_renewed(self, lease: KubeObject, begun: float) -> None:
        self._seen = _Sighting(lease, begun)
        self._renewed_at = begun
        lasted = self._outage.end()
        if lasted is not None:
            self._log.info("lease can be read and written again", seconds=lasted)
        expiry = begun + self._settings.lease_duration - self._clock.monotonic()
        between = self._settings.lease_duration - self._settings.renew_deadline
        # First the elector, which ends runs in order. Where it does not, they have most of the time to end without it.
        self._deadline_timer.set(expiry - between * 4 / 5, expiry - between / 5, expiry - between / 10)

    # Requests

    async def _get(self) -> KubeObject | None:
        try:
            return await self._client.get(self._path)
        except NotFoundError:
            return None

    async def _claim(self, lease: KubeObject | None) -> KubeObject:
        """Write this process into a Lease that is free.

        It may be its own already, where an answer was lost.
        """
        self._has_claimed = True
        now = self._clock.now()
        if lease is None:
            body = fresh(self._settings.name, self._namespace, self._candidate, now)
            return await self._client.create(collection_path(self._namespace), body)
        is_own = holder_of(lease) == self._candidate.identity
        return await self._client.update(self._path, (renewed if is_own else taken)(lease, self._candidate, now))

    async def _release(self) -> None:
        """Write an empty holder into the Lease, if this process holds it.

        It may hold it without knowing, where the answer to its claim was lost.
        """
        while True:
            lease = await self._get()
            if lease is None or holder_of(lease) != self._candidate.identity:
                return
            try:
                await self._client.update(self._path, released(lease, self._clock.now()))
            except ConflictError:  # an annotation, or a renewal whose answer came too late
                continue
            self._log.info("lease released")
            return

    def _request_timeout(self) -> float:
        return self._settings.renew_deadline / 2

    @asynccontextmanager
    async def _limit(self, seconds: float) -> AsyncIterator[None]:
        """Raise ``ApiUnreachableError`` where the block takes longer."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as scope:
                timer = self._clock.call_later(max(0.0, seconds), lambda: scope.reschedule(loop.time()))
                try:
                    yield
                finally:
                    timer.cancel()
        except TimeoutError as error:
            raise ApiUnreachableError(f"no answer in {seconds:g} s") from error
