"""One acts at a time: every way in which a Lease is won, held, lost and left, on a clock turned by hand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
import structlog
from structlog.testing import LogCapture

from reconcile_runner.errors import ConflictError, ForbiddenError
from reconcile_runner.leaderelection import elector as elector_module
from reconcile_runner.leaderelection.elector import RETRY_PERIOD, Elector
from reconcile_runner.leaderelection.lease import micro_time
from reconcile_runner.options import ElectionSettings
from tests.support.fakes.clock import FakeClock, FakeTimer, settle
from tests.support.fakes.leases import LEASE, LEASES, NAME, NAMESPACE, FakeDeadlineTimer, LeaseServer, Line, Weather

SETTINGS = ElectionSettings(NAME, NAMESPACE)
LEASE_DURATION, RENEW_DEADLINE = 15.0, 10.0


class SkewedClock:
    """A ``Clock`` of a machine whose date is wrong and which was started at another time; seconds are seconds."""

    def __init__(self, clock: FakeClock, wrong_by: timedelta, uptime: float) -> None:
        self._clock = clock
        self._wrong_by = wrong_by
        self._uptime = uptime

    def monotonic(self) -> float:
        return self._clock.monotonic() + self._uptime

    def now(self) -> datetime:
        return self._clock.now() + self._wrong_by

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    def call_later(self, seconds: float, callback: object) -> FakeTimer:
        return self._clock.call_later(seconds, callback)  # type: ignore[arg-type]


class Contender:
    """One operator: its line, its elector, and what it was told of a loss."""

    def __init__(
        self, server: LeaseServer, clock: FakeClock | SkewedClock, name: str, *, may_watch: bool = True
    ) -> None:
        self.name = name
        self.clock = clock
        self.line = Line(server, may_watch=may_watch)
        self.deadline_timer = FakeDeadlineTimer(clock.monotonic)
        self.losses = 0
        self.elector = Elector(self.line, SETTINGS, NAMESPACE, name, clock, self.deadline_timer, self._lost)
        self.task = asyncio.create_task(self.elector.run(), name=f"election of {name}")

    def _lost(self) -> None:
        self.losses += 1

    @property
    def leads(self) -> bool:
        return self.elector.is_leading()

    @property
    def is_past_deadline(self) -> bool:
        return self.deadline_timer.ends_at is not None and self.clock.monotonic() >= self.deadline_timer.ends_at

    async def die(self) -> None:
        """End as SIGKILL does: nothing is released."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def leave(self) -> None:
        """End as SIGTERM does."""
        await self.die()
        await self.elector.release()


class Arena:
    """A server, a clock, and the operators that contend."""

    def __init__(self) -> None:
        self.server = LeaseServer()
        self.clock = FakeClock()
        self.contenders: list[Contender] = []

    async def enter(self, name: str, *, may_watch: bool = True, clock: SkewedClock | None = None) -> Contender:
        contender = Contender(self.server, clock or self.clock, name, may_watch=may_watch)
        self.contenders.append(contender)
        await settle()
        return contender

    def leaders(self) -> list[str]:
        return [contender.name for contender in self.contenders if contender.leads]

    async def seconds_until(self, contender: Contender, most: float = 60.0) -> float:
        """Let time pass until a contender leads, and see that nobody else does; return how many seconds that took."""
        passed = 0.0
        while not contender.leads:
            assert passed < most, f"{contender.name} does not lead in {most:g} s"
            await self.clock.advance(0.25)
            passed += 0.25
            assert len(self.leaders()) <= 1
        return passed

    async def renew_as(self, holder: str, seconds: float) -> None:
        """Let time pass while somebody with a client of its own renews."""
        for _ in range(int(seconds / RETRY_PERIOD)):
            self.server.write(holderIdentity=holder, renewTime=micro_time(self.clock.now()))
            await self.clock.advance(RETRY_PERIOD)


@asynccontextmanager
async def made_arena() -> AsyncIterator[Arena]:
    arena = Arena()
    try:
        yield arena
    finally:
        for contender in arena.contenders:
            await contender.die()


@pytest.fixture
async def arena() -> AsyncIterator[Arena]:
    async with made_arena() as made:
        yield made


@pytest.fixture(autouse=True)
def logged(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    capture = LogCapture()
    monkeypatch.setattr(elector_module, "_log", structlog.wrap_logger(None, processors=[capture]))
    return capture


def foreign(arena: Arena, **changes: object) -> None:
    """Write the record of an operator in Go, whose machine is years behind."""
    record = {
        "holderIdentity": "manager-6b8d_0d9f",
        "leaseDurationSeconds": 15,
        "acquireTime": "1999-12-31T23:59:59.000000Z",
        "renewTime": "1999-12-31T23:59:59.000000Z",
        "leaseTransitions": 4,
    }
    arena.server.write(**{**record, **changes})


class TestWinning:
    async def test_the_first_one_makes_the_lease_and_leads_at_once(self, arena: Arena) -> None:
        one = await arena.enter("one")
        assert one.leads
        await asyncio.wait_for(one.elector.wait_elected(), 1)
        assert arena.server.spec["holderIdentity"] == "one"
        assert arena.server.spec["leaseTransitions"] == 0
        assert len(arena.server.calls_of("POST", LEASES)) == 1

    async def test_the_second_one_stands_by_for_as_long_as_the_first_renews(self, arena: Arena) -> None:
        await arena.enter("one")
        await arena.enter("two")
        acquired = arena.server.spec["acquireTime"]
        for _ in range(300):
            await arena.clock.advance(1)
            assert arena.leaders() == ["one"]
        assert arena.server.spec["acquireTime"] == acquired
        assert arena.server.spec["renewTime"] > acquired
        assert arena.server.spec["leaseTransitions"] == 0

    async def test_of_two_that_start_together_one_leads_and_losing_is_no_error(
        self, arena: Arena, logged: LogCapture
    ) -> None:
        arena.contenders = [Contender(arena.server, arena.clock, name) for name in ("one", "two")]
        await settle()
        await arena.clock.advance(60)
        assert len(arena.leaders()) == 1
        assert {entry["log_level"] for entry in logged.entries} == {"info", "debug"}

    async def test_a_released_lease_is_taken_at_once(self, arena: Arena) -> None:
        one, _ = await arena.enter("one"), await arena.enter("two")
        await one.leave()
        await settle()
        assert arena.leaders() == ["two"]
        assert arena.server.spec["leaseTransitions"] == 1

    async def test_without_the_right_to_watch_it_looks_every_two_seconds(
        self, arena: Arena, logged: LogCapture
    ) -> None:
        one = await arena.enter("one")
        two = await arena.enter("two", may_watch=False)
        before = len(arena.server.calls_of("GET", LEASE))
        await arena.clock.advance(20)
        assert 9 <= len(arena.server.calls_of("GET", LEASE)) - before <= 11
        await one.leave()
        assert await arena.seconds_until(two) <= RETRY_PERIOD
        told = [entry for entry in logged.entries if entry["event"].startswith("cannot watch the lease")]
        assert [entry["log_level"] for entry in told] == ["info"]

    async def test_with_a_watch_a_standby_asks_for_nothing_while_the_leader_renews(self, arena: Arena) -> None:
        await arena.enter("one")
        await arena.enter("two")
        before = len(arena.server.calls_of("GET", LEASE))
        await arena.clock.advance(200)
        assert len(arena.server.calls_of("GET", LEASE)) == before

    async def test_a_watch_that_ends_is_opened_again(self, arena: Arena) -> None:
        one, two = await arena.enter("one"), await arena.enter("two")
        arena.server.watches[-1].end()
        await arena.clock.advance(5)
        assert [watch.closed for watch in arena.server.watches] == [True, True, False]
        await one.leave()
        await settle()
        assert two.leads

    async def test_a_leader_that_dies_is_followed_when_its_lease_has_run_out(self, arena: Arena) -> None:
        one, two = await arena.enter("one"), await arena.enter("two")
        await arena.clock.advance(33)
        await one.die()
        arena.contenders.remove(one)
        took = await arena.seconds_until(two)
        assert LEASE_DURATION - RETRY_PERIOD <= took <= LEASE_DURATION + RETRY_PERIOD
        assert arena.server.spec["leaseTransitions"] == 1

    async def test_a_claim_whose_answer_never_came_is_known_as_its_own(self, arena: Arena) -> None:
        one = Contender(arena.server, arena.clock, "one")
        arena.contenders.append(one)
        arena.server.fail("GET", LEASE, ConflictError(409, "Conflict", "not yet"))
        await settle()
        one.line.weather = Weather.DEAF
        await arena.clock.advance(RETRY_PERIOD)
        assert arena.leaders() == []
        one.line.weather = Weather.FINE
        await arena.clock.advance(RENEW_DEADLINE)
        assert arena.leaders() == ["one"]
        assert arena.server.spec["leaseTransitions"] == 0

    async def test_an_api_server_that_is_away_is_waited_for(self, arena: Arena, logged: LogCapture) -> None:
        arena.server.fail("GET", LEASE, ForbiddenError(403, "Forbidden", "may not get leases"), times=5)
        await arena.enter("one")
        await arena.clock.advance(9)
        assert arena.leaders() == []
        await arena.clock.advance(2)
        assert arena.leaders() == ["one"]
        assert [entry["log_level"] for entry in logged.entries].count("warning") == 1

    async def test_an_answer_that_does_not_come_does_not_keep_it_from_asking_again(self, arena: Arena) -> None:
        one = Contender(arena.server, arena.clock, "one")
        arena.contenders.append(one)
        one.line.weather = Weather.SILENT
        await arena.clock.advance(3)
        one.line.weather = Weather.FINE
        assert await arena.seconds_until(one) <= RENEW_DEADLINE / 2 + RETRY_PERIOD

    async def test_a_lease_made_by_hand_is_taken(self, arena: Arena) -> None:
        arena.server.put(LEASE, {"metadata": {"name": NAME, "namespace": NAMESPACE}})
        one = await arena.enter("one")
        assert one.leads
        assert arena.server.spec["leaseTransitions"] == 1


class TestAForeignHolder:
    async def test_one_that_keeps_renewing_is_left_alone_whatever_its_clock_says(self, arena: Arena) -> None:
        foreign(arena)
        one = await arena.enter("one")
        for _ in range(60):
            await arena.renew_as("manager-6b8d_0d9f", RETRY_PERIOD)
            assert not one.leads
        foreign(arena, renewTime="1999-12-31T23:59:58.000000Z")
        await arena.clock.advance(14)
        assert not one.leads

    async def test_one_that_stops_is_followed_after_its_own_duration(self, arena: Arena) -> None:
        foreign(arena, leaseDurationSeconds=40, renewTime="2099-01-01T00:00:00.000000Z")
        one = await arena.enter("one")
        assert 40 <= await arena.seconds_until(one) <= 40.5
        assert arena.server.spec["leaseTransitions"] == 5
        assert arena.server.spec["leaseDurationSeconds"] == 15

    async def test_one_that_releases_is_followed_at_once(self, arena: Arena) -> None:
        foreign(arena)
        one = await arena.enter("one")
        foreign(arena, holderIdentity="", leaseDurationSeconds=1)
        await settle()
        assert one.leads

    async def test_one_whose_lease_is_deleted_may_yet_act_and_is_waited_for(self, arena: Arena) -> None:
        foreign(arena)
        one = await arena.enter("one")
        await arena.clock.advance(5)
        arena.server.remove()
        assert await arena.seconds_until(one) >= LEASE_DURATION - 5
        assert arena.server.spec["leaseTransitions"] == 0

    async def test_a_touched_annotation_is_no_renewal(self, arena: Arena) -> None:
        foreign(arena)
        one = await arena.enter("one")
        for _ in range(14):
            arena.server.lease["metadata"]["annotations"] = {"at": str(arena.clock.monotonic())}
            arena.server.write()
            await arena.clock.advance(1)
        assert await arena.seconds_until(one) <= 1.25


class TestHolding:
    async def test_a_renewal_that_fails_is_tried_again(self, arena: Arena, logged: LogCapture) -> None:
        one, _ = await arena.enter("one"), await arena.enter("two")
        one.line.weather = Weather.REFUSED
        for _ in range(8):
            await arena.clock.advance(1)
            assert arena.leaders() == ["one"]
        one.line.weather = Weather.FINE
        for _ in range(60):
            await arena.clock.advance(1)
            assert arena.leaders() == ["one"]
        assert one.losses == 0
        assert [entry["log_level"] for entry in logged.entries].count("warning") == 1

    @pytest.mark.parametrize("weather", [Weather.REFUSED, Weather.SILENT, Weather.DEAF])
    async def test_it_gives_up_before_its_lease_can_expire(self, weather: Weather, arena: Arena) -> None:
        one, two = await arena.enter("one"), await arena.enter("two")
        await arena.clock.advance(21)
        renewed_at = arena.clock.monotonic() - 1
        one.line.weather = weather
        while not one.losses:
            await arena.clock.advance(0.25)
            assert not two.leads
        assert arena.clock.monotonic() - renewed_at <= RENEW_DEADLINE + 0.25
        assert not one.leads
        assert one.deadline_timer.ends_at is not None
        assert arena.clock.monotonic() < one.deadline_timer.ends_at < renewed_at + LEASE_DURATION
        await arena.seconds_until(two)
        assert arena.clock.monotonic() >= renewed_at + LEASE_DURATION
        await arena.clock.advance(60)
        assert (one.losses, one.leads) == (1, False)

    async def test_a_conflict_is_looked_into_and_what_is_still_its_own_is_kept(self, arena: Arena) -> None:
        one = await arena.enter("one")
        for _ in range(20):
            arena.server.lease["metadata"]["annotations"] = {"at": str(arena.clock.monotonic())}
            arena.server.write()
            await arena.clock.advance(RETRY_PERIOD)
        assert one.leads
        assert arena.server.lease["metadata"]["annotations"]
        assert arena.server.spec["leaseTransitions"] == 0

    async def test_a_renewal_whose_answer_never_came_is_its_own(self, arena: Arena) -> None:
        one = await arena.enter("one")
        one.line.weather = Weather.DEAF
        await arena.clock.advance(4)
        one.line.weather = Weather.FINE
        await arena.clock.advance(60)
        assert one.leads

    async def test_a_deleted_lease_is_made_again(self, arena: Arena) -> None:
        await arena.enter("one")
        await arena.enter("two")
        await arena.clock.advance(5)
        arena.server.remove()
        for _ in range(60):
            await arena.clock.advance(1)
            assert arena.leaders() == ["one"]
        assert arena.server.spec["holderIdentity"] == "one"

    async def test_a_lease_that_somebody_freed_by_hand_is_taken_again_or_lost(self, arena: Arena) -> None:
        one, two = await arena.enter("one"), await arena.enter("two", may_watch=False)
        arena.server.write(holderIdentity="")
        await arena.clock.advance(10)
        assert len(arena.leaders()) == 1
        assert one.losses == int(two.leads)

    async def test_somebody_elses_name_in_it_ends_everything_at_once(self, arena: Arena, logged: LogCapture) -> None:
        one = await arena.enter("one")
        foreign(arena)
        await arena.clock.advance(RETRY_PERIOD)
        assert (one.leads, one.losses, one.elector.is_lost) == (False, 1, True)
        assert arena.server.spec["holderIdentity"] == "manager-6b8d_0d9f"
        (line,) = [entry for entry in logged.entries if entry["log_level"] == "error"]
        assert line["reason"] == "manager-6b8d_0d9f holds it"

    async def test_after_a_busy_event_loop_it_may_not_act_before_anybody_tells_it(self, arena: Arena) -> None:
        one = await arena.enter("one")
        arena.clock.stall(RENEW_DEADLINE)
        assert not one.leads
        await arena.clock.advance(0)
        assert one.losses == 1

    async def test_a_renewal_that_is_answered_too_late_counts_for_nothing(self, arena: Arena) -> None:
        one = await arena.enter("one")
        await arena.clock.advance(1)
        arena.clock.stall(RENEW_DEADLINE)
        await arena.clock.advance(0)
        assert (one.leads, one.losses) == (False, 1)

    async def test_each_renewal_sets_the_deadline_timer(self, arena: Arena) -> None:
        one = await arena.enter("one")
        for _ in range(30):
            await arena.clock.advance(1)
            assert one.deadline_timer.ends_at is not None
            left = one.deadline_timer.ends_at - arena.clock.monotonic()
            assert RENEW_DEADLINE - RETRY_PERIOD < left < LEASE_DURATION

    async def test_runs_may_live_a_little_longer_than_it_may_act_and_have_most_of_the_rest_to_end(
        self, arena: Arena
    ) -> None:
        one = await arena.enter("one")
        await arena.clock.advance(RETRY_PERIOD)
        renewed_at = arena.clock.monotonic()
        await arena.clock.advance(1)
        assert one.deadline_timer.runs_end_at is not None
        to_deadline = one.deadline_timer.runs_end_at - (renewed_at + RENEW_DEADLINE)
        to_expiry = renewed_at + LEASE_DURATION - one.deadline_timer.runs_end_at
        assert 0 < to_deadline < to_expiry / 2


class TestLeaving:
    async def test_a_release_is_written_and_cancels_the_deadline_timer(self, arena: Arena) -> None:
        one = await arena.enter("one")
        await arena.clock.advance(3)
        await one.leave()
        assert (arena.server.spec["holderIdentity"], arena.server.spec["leaseDurationSeconds"]) == ("", 1)
        assert (one.leads, one.deadline_timer.ends_at) == (False, None)

    async def test_it_holds_until_it_is_told_to_release(self, arena: Arena) -> None:
        one, _ = await arena.enter("one"), await arena.enter("two")
        await one.die()
        await arena.clock.advance(2)
        assert arena.leaders() == ["one"]
        await one.elector.release()
        await settle()
        assert arena.leaders() == ["two"]

    async def test_a_conflict_does_not_keep_it_from_being_released(self, arena: Arena) -> None:
        one = await arena.enter("one")
        arena.server.fail("PUT", LEASE, ConflictError(409, "Conflict", "changed"))
        await one.leave()
        assert arena.server.spec["holderIdentity"] == ""

    @pytest.mark.parametrize("weather", [Weather.REFUSED, Weather.SILENT])
    async def test_a_server_that_is_away_does_not_keep_it_from_ending(
        self, weather: Weather, arena: Arena, logged: LogCapture
    ) -> None:
        one = await arena.enter("one")
        one.line.weather = weather
        leaving = asyncio.create_task(one.leave())
        await arena.clock.advance(3)
        assert leaving.done()
        assert one.deadline_timer.ends_at is None
        assert [entry["log_level"] for entry in logged.entries].count("warning") == 1

    async def test_a_standby_leaves_the_lease_alone(self, arena: Arena) -> None:
        await arena.enter("one")
        two = await arena.enter("two")
        await two.leave()
        assert arena.server.spec["holderIdentity"] == "one"
        assert arena.server.calls_of("PUT", LEASE) == []

    async def test_what_was_lost_is_left_to_who_has_it(self, arena: Arena) -> None:
        one = await arena.enter("one")
        foreign(arena)
        await arena.clock.advance(RETRY_PERIOD)
        await one.leave()
        assert arena.server.spec["holderIdentity"] == "manager-6b8d_0d9f"
        assert one.deadline_timer.ends_at is None

    async def test_a_claim_that_was_cut_short_by_the_end_is_released(self, arena: Arena) -> None:
        one = Contender(arena.server, arena.clock, "one")
        arena.contenders.append(one)
        while not arena.server.calls_of("POST", LEASES):
            await settle(1)
        one.line.weather = Weather.DEAF
        await settle()
        one.line.weather = Weather.FINE
        assert arena.server.spec["holderIdentity"] == "one"
        assert not one.leads
        await one.leave()
        assert arena.server.spec["holderIdentity"] == ""


@pytest.mark.parametrize("seed", range(8))
async def test_two_never_lead_at_a_time_whatever_happens(seed: int) -> None:
    """Clocks that are years apart, lines that fail in every way, deaths, departures; then all is well."""
    dice = random.Random(seed)  # noqa: S311 a test that can be repeated
    names = iter(f"operator-{number}" for number in range(1000))
    led: set[str] = set()
    async with made_arena() as arena:

        async def newcomer() -> Contender:
            clock = SkewedClock(arena.clock, timedelta(days=dice.uniform(-3000, 3000)), dice.uniform(0, 1e6))
            return await arena.enter(next(names), may_watch=dice.random() < 0.8, clock=clock)

        for _ in range(3):
            await newcomer()
        for step in range(800):
            if step < 700 and dice.random() < 0.1:
                dice.choice(arena.contenders).line.weather = dice.choice(list(Weather))
            if dice.random() < 0.01:
                gone = dice.choice(arena.contenders)
                may_leave = gone.line.weather is Weather.FINE and dice.random() < 0.5
                await (gone.leave() if may_leave else gone.die())
                arena.contenders.remove(gone)
                await newcomer()
            if step == 700:
                for contender in arena.contenders:
                    contender.line.weather = Weather.FINE
            await arena.clock.advance(dice.uniform(0.05, 1.0))
            for lost in [contender for contender in arena.contenders if contender.losses]:
                arena.contenders.remove(lost)
                await lost.leave()
                await newcomer()
            assert len(arena.leaders()) <= 1
            assert not any(contender.is_past_deadline for contender in arena.contenders)
            led.update(arena.leaders())
    assert len(led) > 3
