from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator

import pytest
import structlog
from structlog.testing import LogCapture

from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.controller import controller as controller_module
from reconcile_runner.controller.concurrency import ConcurrencyLimit
from reconcile_runner.controller.controller import (
    STUCK_RECONCILE_TIMEOUT,
    Controller,
    ControllerOptions,
)
from reconcile_runner.controller.reconcile import Failed, Ignored, Outcome, Request, Succeeded
from reconcile_runner.controller.workqueue import MAX_BACKGROUND_WAIT, Priority, WorkQueue
from reconcile_runner.metrics import Metrics
from tests.support.fakes.clock import FakeClock, settle
from tests.support.fakes.reconciler import FakeReconciler
from tests.support.queues import depth

A, B, C, D = (ObjectKey("default", name) for name in "abcd")
GVK = GroupVersionKind("example.com", "v1", "Thing")
NAME = "thing-v1-example.com-controller"
GRACE = 20.0
TWO_WORKERS = ControllerOptions(workers=2, graceful_shutdown_timeout=GRACE)


class Harness:
    """A controller on a fake clock, with a reconciler that answers as told."""

    def __init__(self, options: ControllerOptions = TWO_WORKERS) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics()
        self.queue = WorkQueue(NAME, self.clock, self.metrics)
        self.reconciler = FakeReconciler()
        self.controller = Controller(GVK, self.queue, self.reconciler, self.metrics, self.clock, options)
        self.task: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        self.task = asyncio.create_task(self.controller.run(), name="controller")
        return self.task

    async def serve(self, request: Request, outcome: Outcome | BaseException) -> None:
        self.reconciler.will(request, outcome)
        self.queue.add(request)
        await settle()

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    harness = Harness()
    yield harness
    if harness.task is not None:
        harness.task.cancel()
        await asyncio.gather(harness.task, return_exceptions=True)


@pytest.fixture(autouse=True)
def logged(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    capture = LogCapture()
    logger = structlog.wrap_logger(None, processors=[structlog.contextvars.merge_contextvars, capture])
    monkeypatch.setattr(controller_module, "_log", logger)
    return capture


class TestOutcomes:
    async def test_success_forgets_failures_and_asks_for_nothing(self, harness: Harness) -> None:
        harness.start()
        harness.queue.add_rate_limited(A)
        await harness.serve(A, Succeeded())
        assert harness.queue.failures(A) == 0
        assert (depth(harness.queue), harness.clock.next_wakeup) == (0, None)

    async def test_success_with_a_period_comes_back_exactly_then(self, harness: Harness) -> None:
        harness.start()
        await harness.serve(A, Succeeded(requeue_after=36000.0))
        await harness.clock.advance(35999.9)
        assert harness.reconciler.started == [A]
        await harness.clock.advance(0.1)
        assert harness.reconciler.started == [A, A]

    async def test_a_periodic_reconcile_waits_behind_live_changes(self, harness: Harness) -> None:
        harness = Harness(ControllerOptions(workers=1))
        harness.start()
        await harness.serve(A, Succeeded(requeue_after=10.0))
        harness.reconciler.hold()
        harness.queue.add(B)
        await harness.clock.advance(10)
        harness.queue.add(C)
        harness.reconciler.release()
        await settle()
        assert harness.reconciler.started == [A, B, C, A]
        harness.controller.stop()
        await harness.task if harness.task else None

    async def test_a_failure_before_the_first_task_is_tried_again_from_a_second_on(self, harness: Harness) -> None:
        harness.start()
        not_begun, failed = Failed("no role", has_begun=False), Failed("a task failed")
        harness.reconciler.will(A, not_begun, not_begun, not_begun, failed, Succeeded())
        harness.queue.add(A)
        await settle()
        for tries, delay in enumerate((1.0, 2.0, 4.0, 0.04), start=1):
            await harness.clock.advance(delay * 0.9)
            assert len(harness.reconciler.started) == tries
            await harness.clock.advance(delay * 0.1)
            assert len(harness.reconciler.started) == tries + 1

    async def test_a_period_of_zero_does_not_spin(self, harness: Harness) -> None:
        harness.start()
        await harness.serve(A, Succeeded(requeue_after=0.0))
        await harness.clock.advance(100_000)
        assert harness.reconciler.started == [A]

    async def test_failure_is_retried_with_back_off_and_its_delay_logged(
        self, harness: Harness, logged: LogCapture
    ) -> None:
        harness.start()
        await harness.serve(A, Failed("task install: no such file"))
        for failure in range(1, 6):
            assert len(harness.reconciler.started) == failure
            delay = 0.005 * 2 ** (failure - 1)
            assert logged.entries[-1]["log_level"] == "error"
            assert logged.entries[-1]["error"].startswith("task install")
            assert logged.entries[-1]["requeue_after_seconds"] == delay
            assert logged.entries[-1]["failures"] == failure
            harness.reconciler.will(A, Failed("task install: again"))
            await harness.clock.advance(delay * 0.99)
            assert len(harness.reconciler.started) == failure
            await harness.clock.advance(delay * 0.01 + 1e-9)

    async def test_success_after_failures_starts_the_back_off_afresh(self, harness: Harness) -> None:
        harness.start()
        harness.reconciler.will(A, *[Failed("no")] * 5, Succeeded(), Failed("no"))
        harness.queue.add(A)
        await harness.clock.advance(1)
        assert len(harness.reconciler.started) == 6
        harness.queue.add(A)
        await settle()
        assert harness.queue.failures(A) == 1
        assert harness.clock.next_wakeup == pytest.approx(0.005)

    async def test_an_exception_is_a_failure_with_its_traceback_logged_and_the_worker_goes_on(
        self, harness: Harness, logged: LogCapture
    ) -> None:
        harness = Harness(ControllerOptions(workers=1))
        task = harness.start()
        await harness.serve(A, ZeroDivisionError("oh"))
        raised, failed = logged.entries
        assert raised["exc_info"] is True
        assert failed["error"] == "ZeroDivisionError: oh"
        assert harness.queue.failures(A) == 1
        assert harness.value("controller_runtime_reconcile_panics_total", controller=NAME) == 1
        assert harness.reconciler.told == [(A, "ZeroDivisionError: oh")]
        await harness.serve(B, Succeeded())
        assert harness.reconciler.finished[-1] == B
        harness.controller.stop()
        await task

    async def test_a_cancellation_from_within_the_reconciler_is_a_failure_and_no_lost_worker(
        self, harness: Harness, logged: LogCapture
    ) -> None:
        harness = Harness(ControllerOptions(workers=1))
        task = harness.start()
        await harness.serve(A, asyncio.CancelledError())
        assert harness.queue.failures(A) == 1
        await harness.serve(B, Succeeded())
        assert harness.reconciler.finished[-1] == B
        harness.controller.stop()
        await task

    async def test_ignored_forgets_until_something_happens(self, harness: Harness) -> None:
        harness.start()
        harness.queue.add_rate_limited(A)
        await harness.serve(A, Ignored("the object is gone"))
        assert harness.queue.failures(A) == 0
        await harness.clock.advance(100_000)
        assert harness.reconciler.started == [A]


class TestMetrics:
    @pytest.mark.parametrize(
        ("outcome", "result"),
        [
            (Succeeded(), "success"),
            (Succeeded(requeue_after=5.0), "requeue_after"),
            (Failed("no"), "error"),
            (Ignored("gone"), "success"),
        ],
        ids=str,
    )
    async def test_each_outcome_is_counted_under_its_result(
        self, harness: Harness, outcome: Outcome, result: str
    ) -> None:
        harness.start()
        await harness.serve(A, outcome)
        for known in ("success", "requeue_after", "error"):
            counted = harness.value("controller_runtime_reconcile_total", controller=NAME, result=known)
            assert counted == (1 if known == result else 0)
        errors = harness.value("controller_runtime_reconcile_errors_total", controller=NAME)
        assert errors == (1 if result == "error" else 0)

    async def test_upstreams_metrics_count_what_was_tried_with_its_true_duration(self, harness: Harness) -> None:
        harness.start()
        kind = "example.com/v1, Kind=Thing"
        harness.reconciler.hold()
        harness.queue.add(A)
        await harness.clock.advance(12)
        assert harness.value("controller_runtime_active_workers", controller=NAME) == 1
        harness.reconciler.release()
        await settle()
        await harness.serve(B, Failed("no"))
        await harness.serve(C, Ignored("gone"))
        assert harness.value("ansible_operator_reconciles_sum", GVK=kind) == 12
        assert harness.value("ansible_operator_reconciles_count", GVK=kind) == 2
        assert harness.value("ansible_operator_reconcile_result", GVK=kind, result="succeeded") == 1
        assert harness.value("ansible_operator_reconcile_result", GVK=kind, result="failed") == 1
        assert harness.value("controller_runtime_reconcile_time_seconds_count", controller=NAME) == 3
        assert harness.value("controller_runtime_active_workers", controller=NAME) == 0
        assert harness.value("controller_runtime_max_concurrent_reconciles", controller=NAME) == 2


class TestContext:
    async def test_each_reconcile_has_its_object_and_an_id_of_its_own_bound_to_log_lines(
        self, harness: Harness, logged: LogCapture
    ) -> None:
        harness.start()
        await harness.serve(A, Ignored("first"))
        await harness.serve(B, Ignored("second"))
        first, second = logged.entries
        assert (first["gvk"], first["namespace"], first["name"]) == (str(GVK), "default", "a")
        assert second["name"] == "b"
        assert re.fullmatch(r"[0-9a-f-]{36}", first["reconcile_id"])
        assert first["reconcile_id"] != second["reconcile_id"]

    async def test_workers_are_named_tasks(self, harness: Harness) -> None:
        harness.start()
        await settle()
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert {f"{NAME} worker 1", f"{NAME} worker 2"} <= names

    async def test_tells_for_how_long_a_reconcile_has_been_running(self, harness: Harness) -> None:
        harness.start()
        assert harness.controller.running() == {}
        harness.reconciler.hold()
        harness.queue.add(A)
        await harness.clock.advance(100)
        harness.queue.add(B)
        await harness.clock.advance(20)
        assert harness.controller.running() == {A: 120, B: 20}

    @pytest.mark.parametrize(("run_timeout", "expected"), [(100.0, "stuck in a reconcile: default/a"), (0.0, None)])
    async def test_a_reconcile_that_does_not_end_is_a_problem(self, run_timeout: float, expected: str | None) -> None:
        harness = Harness(ControllerOptions(run_timeout=run_timeout))
        task = harness.start()
        harness.reconciler.hold()
        harness.queue.add(A)
        await harness.clock.advance(100.0 + STUCK_RECONCILE_TIMEOUT)
        assert harness.controller.problem() is None
        await harness.clock.advance(1)
        assert harness.controller.problem() == expected
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class TestStop:
    async def test_an_idle_controller_stops_at_once(self, harness: Harness) -> None:
        task = harness.start()
        await settle()
        harness.controller.stop()
        await asyncio.wait_for(task, timeout=10)
        assert harness.clock.next_wakeup is None

    async def test_running_reconciles_may_end_and_nothing_new_starts(self, harness: Harness) -> None:
        task = harness.start()
        harness.reconciler.hold()
        for request in (A, B, C):
            harness.queue.add(request)
        await settle()
        harness.controller.stop()
        await harness.clock.advance(GRACE - 1)
        assert not task.done()
        harness.controller.stop()
        harness.reconciler.release()
        await asyncio.wait_for(task, timeout=10)
        assert harness.clock.next_wakeup is None
        assert sorted(harness.reconciler.finished) == [A, B]
        assert harness.reconciler.cancelled == []

    async def test_what_runs_longer_than_the_grace_period_since_the_first_stop_is_cancelled_and_awaited(
        self, harness: Harness, logged: LogCapture
    ) -> None:
        task = harness.start()
        harness.reconciler.hold()
        harness.queue.add(A)
        await settle()
        harness.controller.stop()
        await harness.clock.advance(GRACE - 1)
        harness.controller.stop()
        assert harness.reconciler.cancelled == []
        await harness.clock.advance(1)
        await asyncio.wait_for(task, timeout=10)
        assert harness.reconciler.cancelled == [A]
        assert [entry["requests"] for entry in logged.entries] == [["default/a"]]

    async def test_a_cancelled_reconcile_is_no_error(self, harness: Harness, logged: LogCapture) -> None:
        task = harness.start()
        harness.reconciler.hold()
        harness.queue.add(A)
        await settle()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert harness.reconciler.cancelled == [A]
        assert logged.entries == []
        assert harness.queue.failures(A) == 0
        assert harness.value("controller_runtime_reconcile_errors_total", controller=NAME) == 0
        assert harness.value("controller_runtime_active_workers", controller=NAME) == 0

    async def test_no_reconcile_starts_once_that_is_forbidden(self) -> None:
        allowed = True
        harness = Harness(ControllerOptions(may_start=lambda: allowed))
        running = harness.start()
        await harness.serve(A, Succeeded())
        allowed = False
        await harness.serve(B, Succeeded())
        assert harness.reconciler.started == [A]
        await asyncio.wait_for(running, 1)

    async def test_stopping_before_the_start_runs_nothing(self, harness: Harness) -> None:
        harness.queue.add(A)
        harness.controller.stop()
        await asyncio.wait_for(harness.start(), timeout=10)
        assert harness.reconciler.started == []


class TestLoad:
    @pytest.mark.parametrize("seconds", [0.05, 0.26, 1.5, 10.0])
    async def test_a_hundred_edits_in_one_second_make_two_runs_at_most_and_the_last_one_counts(
        self, harness: Harness, seconds: float
    ) -> None:
        edits, seen = list[int](), list[int]()

        class Slow:
            async def tell(self, request: Request, message: str) -> Outcome:
                raise AssertionError((request, message))

            async def reconcile(self, request: Request) -> Outcome:
                seen.append(len(edits))
                await harness.clock.sleep(seconds)
                return Succeeded()

        harness.controller = Controller(GVK, harness.queue, Slow(), harness.metrics, harness.clock, TWO_WORKERS)
        harness.start()
        for edit in range(100):
            edits.append(edit)
            harness.queue.add(A)
            await harness.clock.advance(0.01)
        await harness.clock.advance(60)
        assert seen == [1, 100]

    async def test_as_many_run_at_once_as_there_are_workers(self, harness: Harness) -> None:
        harness.start()
        harness.reconciler.hold()
        for request in (A, B, C, D):
            harness.queue.add(request)
        await settle()
        assert harness.reconciler.running.total() == 2
        harness.reconciler.release()
        await settle()
        assert sorted(harness.reconciler.finished) == [A, B, C, D]

    async def test_controllers_share_slots_and_take_the_most_urgent_request_when_they_have_one(self) -> None:
        options = ControllerOptions(workers=2, limit=ConcurrencyLimit(1))
        first, second = Harness(options), Harness(options)
        for harness in (first, second):
            harness.reconciler.hold()
        first.queue.add(A)
        tasks = [first.start(), second.start()]
        await settle()
        second.queue.add(B, Priority.BACKGROUND)
        await settle()
        second.queue.add(C)
        await settle()
        assert (first.reconciler.started, second.reconciler.started) == ([A], [])
        assert depth(second.queue) == 2, "what waits for a slot is not in work"
        first.reconciler.release()
        await settle()
        assert second.reconciler.started == [C]
        second.reconciler.release()
        for harness in (first, second):
            harness.controller.stop()
        await asyncio.gather(*tasks)
        assert second.reconciler.finished == [C]

    @pytest.mark.parametrize("waited", [0.0, MAX_BACKGROUND_WAIT + 1], ids=["fresh", "aged"])
    async def test_a_new_object_starts_next_in_spite_of_a_backlog_of_a_thousand(
        self, harness: Harness, waited: float
    ) -> None:
        for number in range(1000):
            harness.queue.add(ObjectKey("default", f"old-{number}"), Priority.BACKGROUND)
        await harness.clock.advance(waited)
        harness.reconciler.hold()
        harness.start()
        await settle()
        assert len(harness.reconciler.started) == 2
        harness.queue.add(A, Priority.LIVE)
        harness.reconciler.release()
        await settle(5)
        assert harness.reconciler.started[2] == A

    @pytest.mark.parametrize("seed", range(3))
    async def test_no_object_is_reconciled_twice_at_a_time(self, seed: int) -> None:
        harness = Harness(ControllerOptions(workers=4))
        task = harness.start()
        order = random.Random(seed)  # noqa: S311 - a repeatable order, not a secret
        requests = [ObjectKey("default", f"thing-{number}") for number in range(6)]
        answers: list[Outcome | BaseException] = [
            *(Succeeded(), Succeeded(0.5), Failed("no"), Ignored("gone"), ValueError("x"))
        ]
        for _ in range(400):
            harness.reconciler.will(order.choice(requests), order.choice(answers))
            harness.queue.add(order.choice(requests), order.choice(list(Priority)))
            if order.random() < 0.5:
                harness.reconciler.hold()
            else:
                harness.reconciler.release()
            await harness.clock.advance(order.random())
        harness.reconciler.release()
        harness.controller.stop()
        await asyncio.wait_for(task, timeout=10)
        assert set(harness.reconciler.started) == set(requests)
        assert harness.reconciler.overlapped == set()
