"""A run that makes no progress is a warning and a metric, and not-ready where it leaves no worker to others."""

from __future__ import annotations

from contextlib import ExitStack

from structlog.testing import capture_logs

from reconcile_runner.execution.jobevent import EventKind, JobEvent
from reconcile_runner.metrics import Metrics
from reconcile_runner.reconciler.silentruns import SILENCE_TIMEOUT, UNREADY_TIMEOUT, SilentRuns
from tests.support.fakes.clock import FakeClock

EVENT = JobEvent("playbook_on_task_start", EventKind.PLAYBOOK_ON_TASK_START, task="Wait for Godot")


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics()
        self.runs = SilentRuns("foo-controller", self.metrics, self.clock)

    def shown(self) -> float | None:
        return self.metrics.registry.get_sample_value("reconcile_runner_silent_runs", {"controller": "foo-controller"})


async def test_a_run_that_tells_nothing_is_warned_of_once_and_counted_until_it_does() -> None:
    b = Bench()
    with capture_logs() as logs, b.runs.watch("7") as run:
        run.heard(EVENT)
        await b.clock.advance(SILENCE_TIMEOUT - 1)
        assert (logs, b.shown()) == ([], 0)
        await b.clock.advance(SILENCE_TIMEOUT)
        assert b.shown() == 1
        run.heard(EVENT)
        assert b.shown() == 0
    assert [(line["event"], line["job"], line["task"], line["seconds"]) for line in logs] == [
        ("a run makes no progress", "7", "Wait for Godot", 300)
    ]


async def test_one_that_falls_silent_again_is_warned_of_again() -> None:
    b = Bench()
    with capture_logs() as logs, b.runs.watch("7") as run:
        for _ in range(2):
            await b.clock.advance(SILENCE_TIMEOUT)
            run.heard(EVENT)
    assert len(logs) == 2


async def test_a_long_run_that_tells_something_now_and_then_is_not_warned_of() -> None:
    b = Bench()
    with capture_logs() as logs, b.runs.watch("7") as run:
        for _ in range(100):
            await b.clock.advance(SILENCE_TIMEOUT - 1)
            run.heard(EVENT)
    assert logs == []


async def test_a_run_that_has_ended_is_forgotten() -> None:
    b = Bench()
    with capture_logs() as logs:
        with b.runs.watch("7"):
            await b.clock.advance(1)
        await b.clock.advance(UNREADY_TIMEOUT)
    assert (logs, b.shown(), b.runs.problem(1)) == ([], 0, None)


async def test_the_operator_is_not_ready_where_no_worker_is_left() -> None:
    b = Bench()
    with ExitStack() as running:
        first = running.enter_context(b.runs.watch("1"))
        await b.clock.advance(UNREADY_TIMEOUT)
        assert b.runs.problem(2) is None
        running.enter_context(b.runs.watch("2"))
        await b.clock.advance(UNREADY_TIMEOUT)
        assert b.runs.problem(2) == "every worker has a run that makes no progress: job 1, 2"
        first.heard(EVENT)
        assert b.runs.problem(2) is None
