from __future__ import annotations

import asyncio
import random

import pytest

from reconcile_runner.apimachinery.objects import ObjectKey
from reconcile_runner.backoff import RetryDelays
from reconcile_runner.controller.reconcile import Request
from reconcile_runner.controller.workqueue import (
    DEBOUNCE_PERIOD,
    MAX_BACKGROUND_WAIT,
    MAX_DEBOUNCE,
    MAX_LIVE_PICKS,
    Priority,
    WorkQueue,
)
from reconcile_runner.metrics import Metrics
from tests.support.fakes.clock import FakeClock, settle
from tests.support.queues import depth, get

A, B, C = (ObjectKey("default", name) for name in "abc")
NAME = "foo-v1-controller"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def queue(clock: FakeClock, metrics: Metrics) -> WorkQueue:
    """Return a queue that does not wait for changes to pause: ``TestBursts`` has one that does."""
    return WorkQueue(NAME, clock, metrics, debounce=0.0)


@pytest.fixture
def patient(clock: FakeClock, metrics: Metrics) -> WorkQueue:
    return WorkQueue(NAME, clock, metrics)


async def take(queue: WorkQueue) -> Request:
    request = await asyncio.wait_for(get(queue), timeout=10)
    assert request is not None
    return request


async def serve(queue: WorkQueue) -> Request:
    """Take a request and be done with it at once."""
    request = await take(queue)
    queue.done(request)
    return request


async def serve_all(queue: WorkQueue) -> list[Request]:
    return [await serve(queue) for _ in range(depth(queue))]


def numbered(prefix: str, count: int) -> list[Request]:
    return [ObjectKey("default", f"{prefix}-{number}") for number in range(count)]


class TestDeduplication:
    async def test_hands_out_requests_in_the_order_of_their_first_add(self, queue: WorkQueue) -> None:
        for request in (A, B, A, C, A):
            queue.add(request)
        assert await serve_all(queue) == [A, B, C]

    async def test_tells_whether_an_add_joined_one_that_waits(self, queue: WorkQueue) -> None:
        assert queue.add(A)
        assert not queue.add(A)
        await take(queue)
        assert queue.add(A)
        assert not queue.add(A)

    async def test_a_request_in_work_is_not_handed_out_again(self, queue: WorkQueue) -> None:
        queue.add(A)
        await take(queue)
        queue.add(A)
        second = asyncio.create_task(get(queue), name="second worker")
        await settle()
        assert not second.done()
        queue.done(A)
        assert await second == A

    async def test_many_adds_while_in_work_make_one_more_run(self, queue: WorkQueue) -> None:
        queue.add(A)
        await take(queue)
        for _ in range(100):
            queue.add(A)
        queue.done(A)
        assert await serve_all(queue) == [A]
        assert depth(queue) == 0

    async def test_what_did_not_change_while_in_work_does_not_run_again(
        self, queue: WorkQueue, clock: FakeClock
    ) -> None:
        queue.add(A)
        await serve(queue)
        assert (depth(queue), clock.next_wakeup) == (0, None)

    async def test_an_add_after_done_runs_again(self, queue: WorkQueue) -> None:
        queue.add(A)
        await serve(queue)
        queue.add(A)
        assert await serve(queue) == A

    async def test_being_done_with_what_was_not_taken_is_a_defect(self, queue: WorkQueue) -> None:
        with pytest.raises(KeyError):
            queue.done(A)


class TestWorkers:
    async def test_a_waiting_worker_is_woken(self, queue: WorkQueue) -> None:
        waiting = asyncio.create_task(get(queue), name="worker")
        await settle()
        queue.add(A)
        assert await waiting == A

    async def test_each_add_wakes_one_worker(self, queue: WorkQueue) -> None:
        workers = [asyncio.create_task(get(queue), name=f"worker {number}") for number in range(3)]
        await settle()
        queue.add(A)
        queue.add(B)
        await settle()
        assert sorted(worker.done() for worker in workers) == [False, True, True]
        queue.add(C)
        assert {await worker for worker in workers} == {A, B, C}

    async def test_a_request_offered_to_a_worker_that_is_cancelled_goes_to_the_next(self, queue: WorkQueue) -> None:
        first = asyncio.create_task(get(queue), name="first")
        second = asyncio.create_task(get(queue), name="second")
        await settle()
        queue.add(A)
        first.cancel()
        assert await asyncio.wait_for(second, timeout=10) == A

    async def test_shutting_down_wakes_every_worker_and_hands_out_nothing(self, queue: WorkQueue) -> None:
        workers = [asyncio.create_task(get(queue), name=f"worker {number}") for number in range(3)]
        await settle()
        queue.shut_down()
        assert [await worker for worker in workers] == [None, None, None]
        assert await get(queue) is None

    async def test_shutting_down_drops_what_waits_and_what_comes(self, queue: WorkQueue, clock: FakeClock) -> None:
        queue.add(A)
        queue.add_after(B, 5, Priority.LIVE)
        queue.shut_down()
        assert await get(queue) is None
        assert not queue.add(C)
        queue.add_after(C, 1, Priority.LIVE)
        assert clock.next_wakeup is None

    async def test_running_work_can_be_finished_after_shutting_down(self, queue: WorkQueue) -> None:
        queue.add(A)
        await take(queue)
        queue.add(A)
        queue.shut_down()
        queue.add_rate_limited(A)
        queue.done(A)
        assert await get(queue) is None


class TestDelays:
    async def test_a_delayed_request_is_ready_when_its_delay_ends(self, queue: WorkQueue, clock: FakeClock) -> None:
        queue.add_after(A, 10, Priority.LIVE)
        await clock.advance(9.99)
        assert depth(queue) == 0
        await clock.advance(0.01)
        assert depth(queue) == 1

    @pytest.mark.parametrize("delay", [0, -1])
    async def test_no_delay_means_now(self, queue: WorkQueue, delay: float) -> None:
        queue.add_after(A, delay, Priority.LIVE)
        assert await serve(queue) == A

    async def test_delays_end_in_the_order_of_their_time(self, queue: WorkQueue, clock: FakeClock) -> None:
        for request, delay in ((A, 30), (B, 10), (C, 20)):
            queue.add_after(request, delay, Priority.LIVE)
        await clock.advance(60)
        assert await serve_all(queue) == [B, C, A]

    async def test_an_immediate_add_supersedes_a_pending_delay(self, queue: WorkQueue, clock: FakeClock) -> None:
        queue.add_after(A, 10, Priority.LIVE)
        queue.add(A)
        assert clock.next_wakeup is None
        assert await serve(queue) == A
        await clock.advance(60)
        assert depth(queue) == 0

    @pytest.mark.parametrize("delays", [(10, 2), (2, 10)], ids=["earlier comes second", "earlier comes first"])
    async def test_the_earlier_of_two_delays_counts(
        self, queue: WorkQueue, clock: FakeClock, delays: tuple[float, float]
    ) -> None:
        for delay in delays:
            queue.add_after(A, delay, Priority.LIVE)
        await clock.advance(2)
        assert await serve(queue) == A
        await clock.advance(60)
        assert (depth(queue), clock.next_wakeup) == (0, None)

    async def test_a_delay_for_what_is_ready_already_adds_nothing(self, queue: WorkQueue, clock: FakeClock) -> None:
        queue.add(A)
        queue.add_after(A, 5, Priority.LIVE)
        assert await serve(queue) == A
        await clock.advance(60)
        assert depth(queue) == 0

    async def test_a_change_while_in_work_supersedes_the_delay_asked_for_at_its_end(
        self, queue: WorkQueue, clock: FakeClock
    ) -> None:
        queue.add(A)
        await take(queue)
        queue.add(A)
        queue.add_after(A, 3600, Priority.BACKGROUND)
        queue.done(A)
        assert await serve(queue) == A
        await clock.advance(7200)
        assert depth(queue) == 0

    async def test_a_delay_that_ends_while_in_work_makes_one_more_run(self, queue: WorkQueue, clock: FakeClock) -> None:
        queue.add(A)
        await take(queue)
        queue.add_after(A, 1, Priority.LIVE)
        await clock.advance(5)
        assert depth(queue) == 0
        queue.done(A)
        assert await serve_all(queue) == [A]

    async def test_one_timer_serves_all_delays(self, queue: WorkQueue, clock: FakeClock) -> None:
        for number, request in enumerate(numbered("foo", 1000)):
            queue.add_after(request, 1000 - number, Priority.BACKGROUND)
        assert clock.pending == 1

    async def test_superseded_delays_do_not_pile_up(self, queue: WorkQueue) -> None:
        queue.add_after(B, 1, Priority.BACKGROUND)
        for _ in range(10_000):
            queue.add_after(A, 36_000, Priority.BACKGROUND)
            queue.add(A)
            await serve(queue)
        assert len(queue._heap) < 200


class TestBursts:
    async def start(self, queue: WorkQueue) -> None:
        queue.add(A)
        assert await take(queue) == A

    async def test_the_first_change_runs_at_once(self, patient: WorkQueue) -> None:
        patient.add(A)
        patient.add(A)
        assert await serve_all(patient) == [A]
        patient.add(A)
        assert await serve_all(patient) == [A]

    async def test_a_change_long_before_the_end_of_the_work_runs_again_at_once(
        self, patient: WorkQueue, clock: FakeClock
    ) -> None:
        await self.start(patient)
        patient.add(A)
        await clock.advance(DEBOUNCE_PERIOD)
        patient.done(A)
        assert await serve_all(patient) == [A]

    async def test_a_change_just_before_the_end_of_the_work_waits_for_the_changes_to_pause(
        self, patient: WorkQueue, clock: FakeClock
    ) -> None:
        await self.start(patient)
        patient.add(A)
        patient.done(A)
        await clock.advance(DEBOUNCE_PERIOD * 0.9)
        patient.add(A)
        assert clock.next_wakeup == pytest.approx(DEBOUNCE_PERIOD)
        await clock.advance(DEBOUNCE_PERIOD * 0.9)
        assert depth(patient) == 0
        await clock.advance(DEBOUNCE_PERIOD * 0.11)
        assert await serve_all(patient) == [A]
        assert (depth(patient), clock.next_wakeup) == (0, None)

    async def test_changes_that_do_not_pause_are_served_all_the_same(
        self, patient: WorkQueue, clock: FakeClock
    ) -> None:
        await self.start(patient)
        patient.add(A)
        patient.done(A)
        waited = 0.0
        while depth(patient) == 0 and waited < 60:
            await clock.advance(DEBOUNCE_PERIOD / 2)
            waited += DEBOUNCE_PERIOD / 2
            patient.add(A)
        assert waited == pytest.approx(MAX_DEBOUNCE, abs=DEBOUNCE_PERIOD)
        assert await serve_all(patient) == [A]

    async def test_a_burst_costs_other_requests_nothing(self, patient: WorkQueue) -> None:
        await self.start(patient)
        patient.add(A)
        patient.done(A)
        patient.add(B)
        assert await serve_all(patient) == [B]

    async def test_what_is_asked_for_at_the_end_of_the_work_neither_shortens_nor_prolongs_the_pause(
        self, patient: WorkQueue, clock: FakeClock
    ) -> None:
        await self.start(patient)
        patient.add(A)
        await clock.advance(DEBOUNCE_PERIOD / 2)
        patient.add_rate_limited(A)
        patient.done(A)
        patient.add_after(A, DEBOUNCE_PERIOD / 100, Priority.LIVE)
        assert clock.next_wakeup == pytest.approx(DEBOUNCE_PERIOD / 2)
        await clock.advance(DEBOUNCE_PERIOD * 0.51)
        assert await serve_all(patient) == [A]
        assert clock.next_wakeup is None

    async def test_a_live_change_moves_a_request_up_while_it_waits_for_the_pause(
        self, patient: WorkQueue, clock: FakeClock
    ) -> None:
        patient.add(A, Priority.BACKGROUND)
        await take(patient)
        patient.add(A, Priority.BACKGROUND)
        patient.done(A)
        patient.add(A, Priority.LIVE)
        patient.add(B, Priority.BACKGROUND)
        await clock.advance(DEBOUNCE_PERIOD)
        assert await serve_all(patient) == [A, B]

    async def test_a_live_request_joins_one_that_waits_for_the_pause_without_prolonging_it(
        self, patient: WorkQueue, clock: FakeClock
    ) -> None:
        patient.add(A, Priority.BACKGROUND)
        await take(patient)
        patient.add(A, Priority.BACKGROUND)
        patient.done(A)
        patient.add_after(A, 1, Priority.LIVE)
        patient.add(B, Priority.BACKGROUND)
        await clock.advance(DEBOUNCE_PERIOD)
        assert await serve_all(patient) == [A, B]

    async def test_a_change_that_comes_before_a_late_timer_makes_one_run(
        self, patient: WorkQueue, clock: FakeClock
    ) -> None:
        await self.start(patient)
        patient.add(A)
        patient.done(A)
        clock.stall(MAX_DEBOUNCE * 2)
        patient.add(A)
        assert await serve_all(patient) == [A]
        await clock.advance(60)
        assert (depth(patient), clock.next_wakeup) == (0, None)

    async def test_the_whole_wait_counts_as_time_in_the_queue(
        self, patient: WorkQueue, clock: FakeClock, metrics: Metrics
    ) -> None:
        await self.start(patient)
        patient.add(A)
        patient.done(A)
        await clock.advance(5)
        await take(patient)
        labels = {"name": NAME, "controller": NAME}
        assert metrics.registry.get_sample_value("workqueue_queue_duration_seconds_sum", labels) == pytest.approx(5)


class TestReserving:
    async def test_which_request_it_is_is_decided_when_it_is_taken(self, queue: WorkQueue) -> None:
        queue.add(A, Priority.BACKGROUND)
        assert await queue.reserve()
        assert queue.urgency() is Priority.BACKGROUND
        queue.add(B)
        assert queue.urgency() is Priority.LIVE
        assert queue.take() == B
        assert await take(queue) == A

    async def test_nothing_is_reserved_or_taken_after_the_end(self, queue: WorkQueue) -> None:
        queue.add(A)
        assert await queue.reserve()
        queue.shut_down()
        assert queue.take() is None
        assert not await queue.reserve()


class TestBackOff:
    async def test_each_retry_waits_twice_as_long_up_to_the_longest_delay(self, queue: WorkQueue) -> None:
        expected = [min(0.005 * 2**failure, 1000.0) for failure in range(40)]
        assert expected[17] == 655.36
        assert expected[18] == 1000.0
        assert [queue.add_rate_limited(A) for _ in range(40)] == expected

    async def test_a_watch_may_have_delays_of_its_own(self, clock: FakeClock, metrics: Metrics) -> None:
        queue = WorkQueue(NAME, clock, metrics, RetryDelays(base=1.0, cap=5.0))
        assert [queue.add_rate_limited(A) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]

    async def test_a_failure_may_ask_for_a_longer_first_delay_and_then_doubles_it(self, queue: WorkQueue) -> None:
        assert [queue.add_rate_limited(A, 1.0) for _ in range(12)] == [min(1.0 * 2**n, 1000.0) for n in range(12)]
        assert queue.failures(A) == 12

    async def test_such_a_delay_goes_on_from_the_one_before_not_from_the_number_of_failures(
        self, queue: WorkQueue
    ) -> None:
        for _ in range(10):
            last = queue.add_rate_limited(A)
        assert last == 2.56
        assert queue.add_rate_limited(A, 1.0) == 5.12
        queue.add_rate_limited(A, 1.0)
        assert queue.add_rate_limited(A) == 0.005 * 2**12, "an ordinary failure waits as its number says"

    @pytest.mark.parametrize(
        ("delays", "expected"),
        [(RetryDelays(base=60.0, cap=1000.0), [60.0, 120.0]), (RetryDelays(base=0.005, cap=0.5), [0.5, 0.5])],
        ids=["a longer base", "a shorter cap"],
    )
    async def test_a_watchs_own_delays_win_over_it(
        self, clock: FakeClock, metrics: Metrics, delays: RetryDelays, expected: list[float]
    ) -> None:
        queue = WorkQueue(NAME, clock, metrics, delays)
        assert [queue.add_rate_limited(A, 1.0) for _ in range(2)] == expected

    async def test_a_retry_starts_exactly_after_its_delay(self, queue: WorkQueue, clock: FakeClock) -> None:
        queue.add(A)
        for failure in range(20):
            request = await take(queue)
            delay = queue.add_rate_limited(request)
            queue.done(request)
            assert delay == min(0.005 * 2**failure, 1000.0)
            assert clock.next_wakeup == pytest.approx(delay)
            await clock.advance(delay * 0.999)
            assert depth(queue) == 0
            await clock.advance(delay * 0.002)
            assert depth(queue) == 1

    async def test_requests_back_off_each_by_itself(self, queue: WorkQueue) -> None:
        for _ in range(5):
            queue.add_rate_limited(A)
        assert queue.add_rate_limited(B) == 0.005
        assert (queue.failures(A), queue.failures(B)) == (5, 1)

    async def test_forgetting_starts_again_from_the_first_delay(self, queue: WorkQueue) -> None:
        for _ in range(10):
            queue.add_rate_limited(A)
        queue.forget(A)
        queue.forget(A)
        assert queue.failures(A) == 0
        assert queue.add_rate_limited(A) == 0.005

    async def test_a_change_does_not_wait_for_the_pending_retry(self, queue: WorkQueue, clock: FakeClock) -> None:
        for _ in range(20):
            queue.add_rate_limited(A)
        queue.add(A)
        assert await serve(queue) == A
        await clock.advance(5000)
        assert depth(queue) == 0


class TestPriority:
    async def test_live_requests_come_before_background_ones(self, queue: WorkQueue) -> None:
        queue.add(A, Priority.BACKGROUND)
        queue.add(B, Priority.BACKGROUND)
        queue.add(C, Priority.LIVE)
        assert await serve_all(queue) == [C, A, B]

    async def test_a_live_add_moves_a_waiting_background_request_up(self, queue: WorkQueue) -> None:
        for request in (A, B, C):
            queue.add(request, Priority.BACKGROUND)
        queue.add(C, Priority.LIVE)
        assert await serve_all(queue) == [C, A, B]

    async def test_a_background_add_does_not_move_a_live_request_down(self, queue: WorkQueue) -> None:
        queue.add(A, Priority.LIVE)
        queue.add(A, Priority.BACKGROUND)
        queue.add(B, Priority.LIVE)
        assert await serve_all(queue) == [A, B]

    async def test_a_live_change_of_a_background_request_in_work_runs_next_as_live(self, queue: WorkQueue) -> None:
        queue.add(A, Priority.BACKGROUND)
        await take(queue)
        queue.add(B, Priority.BACKGROUND)
        queue.add(A, Priority.BACKGROUND)
        queue.add(A, Priority.LIVE)
        queue.done(A)
        assert await serve_all(queue) == [A, B]

    @pytest.mark.parametrize("priority", list(Priority))
    async def test_a_retry_keeps_the_priority_of_the_run_that_failed(
        self, queue: WorkQueue, clock: FakeClock, priority: Priority
    ) -> None:
        queue.add(A, priority)
        request = await take(queue)
        queue.add_rate_limited(request)
        queue.done(request)
        queue.add(B, Priority.BACKGROUND)
        await clock.advance(0.005)
        expected = [A, B] if priority is Priority.LIVE else [B, A]
        assert await serve_all(queue) == expected

    async def test_joined_delays_keep_the_higher_priority(self, queue: WorkQueue, clock: FakeClock) -> None:
        queue.add_after(A, 5, Priority.LIVE)
        queue.add_after(A, 1, Priority.BACKGROUND)
        queue.add(B, Priority.BACKGROUND)
        await clock.advance(1)
        assert await serve_all(queue) == [A, B]

    async def test_a_resync_does_not_send_a_pending_live_retry_to_the_background(self, queue: WorkQueue) -> None:
        queue.add(B, Priority.BACKGROUND)
        queue.add_after(A, 5, Priority.LIVE)
        queue.add(A, Priority.BACKGROUND)
        assert await serve_all(queue) == [A, B]


class TestAgeing:
    @pytest.mark.parametrize("waited", [0.0, MAX_BACKGROUND_WAIT * 10], ids=["fresh backlog", "aged backlog"])
    async def test_a_new_live_request_starts_in_the_next_free_slot(
        self, queue: WorkQueue, clock: FakeClock, waited: float
    ) -> None:
        for request in numbered("resync", 1000):
            queue.add(request, Priority.BACKGROUND)
        await clock.advance(waited)
        for _ in range(10):
            await serve(queue)
        for new in numbered("new", 50):
            queue.add(new, Priority.LIVE)
            assert await serve(queue) == new
            await serve(queue)

    async def test_the_oldest_background_request_starts_soon_after_the_ageing_bound_under_a_live_flood(
        self, queue: WorkQueue, clock: FakeClock
    ) -> None:
        queue.add(A, Priority.BACKGROUND)
        seconds, served = 0, list[Request]()
        for live in numbered("live", 1000):
            queue.add(live, Priority.LIVE)
            queue.add(ObjectKey("flood", live.name), Priority.LIVE)
            served.append(await serve(queue))
            if served[-1] == A:
                break
            await clock.advance(1)
            seconds += 1
        assert served[-1] == A
        assert MAX_BACKGROUND_WAIT < seconds <= MAX_BACKGROUND_WAIT + MAX_LIVE_PICKS + 1

    async def test_an_aged_backlog_gets_its_share_and_no_more_under_a_live_flood(
        self, queue: WorkQueue, clock: FakeClock
    ) -> None:
        backlog = numbered("resync", 100)
        for request in backlog:
            queue.add(request, Priority.BACKGROUND)
        await clock.advance(MAX_BACKGROUND_WAIT + 1)
        served: list[Request] = []
        for live in numbered("live", 400):
            queue.add(live, Priority.LIVE)
            queue.add(ObjectKey("flood", live.name), Priority.LIVE)
            served.append(await serve(queue))
        background = [request for request in served if request in set(backlog)]
        assert background == backlog
        positions = [position for position, request in enumerate(served) if request in set(backlog)]
        assert positions == list(range(MAX_LIVE_PICKS, 400, MAX_LIVE_PICKS + 1))

    async def test_live_picks_before_the_bound_earn_the_background_nothing(
        self, queue: WorkQueue, clock: FakeClock
    ) -> None:
        queue.add(A, Priority.BACKGROUND)
        for live in numbered("live", 20):
            queue.add(live, Priority.LIVE)
            assert await serve(queue) == live
        await clock.advance(MAX_BACKGROUND_WAIT + 1)
        queue.add(B, Priority.LIVE)
        assert await serve_all(queue) == [B, A]


@pytest.fixture(params=range(5))
def seeded(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(int(request.param))  # noqa: S311 - a repeatable order, not a secret


@pytest.mark.parametrize("debounce", [0.0, DEBOUNCE_PERIOD])
async def test_no_request_is_ever_with_two_workers_nor_lost_whatever_the_interleaving(
    debounce: float, metrics: Metrics, clock: FakeClock, seeded: random.Random
) -> None:
    queue = WorkQueue(NAME, clock, metrics, debounce=debounce)
    requests = numbered("foo", 8)
    held: set[Request] = set()
    change = dict.fromkeys(requests, 0)
    seen = dict.fromkeys(requests, 0)

    async def worker() -> None:
        while (request := await get(queue)) is not None:
            assert request not in held
            held.add(request)
            seen[request] = change[request]
            for _ in range(seeded.randrange(4)):
                await asyncio.sleep(0)
            match seeded.randrange(4):
                case 0:
                    queue.add_rate_limited(request)
                case 1:
                    queue.forget(request)
                    queue.add_after(request, seeded.random() * 30, Priority.BACKGROUND)
                case _:
                    queue.forget(request)
            held.remove(request)
            queue.done(request)

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(worker(), name=f"worker {number}")
        for _ in range(1500):
            request = seeded.choice(requests)
            change[request] += 1
            queue.add(request, seeded.choice(list(Priority)))
            if seeded.random() < 0.3:
                await clock.advance(seeded.random() * 3)
        await clock.advance(MAX_BACKGROUND_WAIT * 2)
        assert seen == change
        queue.shut_down()


class TestMetrics:
    def value(self, metrics: Metrics, name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, {"name": NAME, "controller": NAME, **labels})

    async def test_shows_depth_by_priority(self, queue: WorkQueue, metrics: Metrics) -> None:
        queue.add(A, Priority.BACKGROUND)
        queue.add(B, Priority.BACKGROUND)
        queue.add(B, Priority.LIVE)
        assert self.value(metrics, "workqueue_depth", priority="-100") == 1
        assert self.value(metrics, "workqueue_depth", priority="0") == 1
        await serve_all(queue)
        assert self.value(metrics, "workqueue_depth", priority="-100") == 0
        assert self.value(metrics, "workqueue_depth", priority="0") == 0

    async def test_counts_adds_that_joined_nothing_and_retries(self, queue: WorkQueue, metrics: Metrics) -> None:
        queue.add(A)
        queue.add(A)
        await take(queue)
        queue.add(A)
        queue.add(A)
        queue.add_rate_limited(A)
        assert self.value(metrics, "workqueue_adds_total") == 2
        assert self.value(metrics, "workqueue_retries_total") == 1

    async def test_measures_waiting_and_working(self, queue: WorkQueue, metrics: Metrics, clock: FakeClock) -> None:
        queue.add(A)
        await clock.advance(3)
        await take(queue)
        await clock.advance(4)
        queue.done(A)
        assert self.value(metrics, "workqueue_queue_duration_seconds_sum") == 3
        assert self.value(metrics, "workqueue_work_duration_seconds_sum") == 4

    async def test_shows_running_work_at_each_scrape(
        self, queue: WorkQueue, metrics: Metrics, clock: FakeClock
    ) -> None:
        queue.add(A)
        queue.add(B)
        await take(queue)
        await clock.advance(5)
        await take(queue)
        await clock.advance(2)
        assert self.value(metrics, "workqueue_unfinished_work_seconds") == 9
        assert self.value(metrics, "workqueue_longest_running_processor_seconds") == 7
        assert queue.in_work() == {A: 7, B: 2}
        queue.done(A)
        queue.done(B)
        assert self.value(metrics, "workqueue_longest_running_processor_seconds") == 0
