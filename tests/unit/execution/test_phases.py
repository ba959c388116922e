"""Where a run's time went, told by its events at times set by hand."""

from __future__ import annotations

import pytest

from reconcile_runner.execution.jobevent import JobEvent, parse_event
from reconcile_runner.execution.phases import RunPhases
from reconcile_runner.metrics import Phase
from tests.support.fakes.clock import FakeClock


def event(name: str, **data: object) -> JobEvent:
    return parse_event({"event": name, "event_data": data})


def test_splits_a_run_at_its_events() -> None:
    clock = FakeClock()
    phases = RunPhases(clock)
    clock.stall(0.5)
    phases.add(event("playbook_on_start"))
    clock.stall(1.0)
    phases.add(event("runner_on_ok", duration=0.25))
    phases.add(event("runner_on_failed", duration=0.25))
    clock.stall(1.0)
    phases.add(event("playbook_on_stats"))
    clock.stall(0.125)
    assert phases.finished() == {Phase.FORK: 0.5, Phase.PLAY: 1.5, Phase.MODULES: 0.5, Phase.TEARDOWN: 0.125}


def test_a_run_without_a_word_is_all_fork() -> None:
    clock = FakeClock()
    phases = RunPhases(clock)
    clock.stall(2.0)
    assert phases.finished() == {Phase.FORK: 2.0, Phase.PLAY: 0.0, Phase.MODULES: 0.0, Phase.TEARDOWN: 0.0}


def test_a_run_that_was_cut_short_has_no_teardown() -> None:
    clock = FakeClock()
    phases = RunPhases(clock)
    phases.add(event("playbook_on_start"))
    clock.stall(3.0)
    assert phases.finished()[Phase.PLAY] == 3.0
    assert phases.finished()[Phase.TEARDOWN] == 0.0


@pytest.mark.parametrize("duration", [None, "long"], ids=str)
def test_a_task_without_a_duration_counts_as_play(duration: object) -> None:
    clock = FakeClock()
    phases = RunPhases(clock)
    phases.add(event("runner_on_ok", duration=duration))
    clock.stall(1.0)
    assert phases.finished()[Phase.MODULES] == 0.0
    assert phases.finished()[Phase.PLAY] == 1.0


def test_tasks_on_several_hosts_never_make_the_play_negative() -> None:
    clock = FakeClock()
    phases = RunPhases(clock)
    phases.add(event("playbook_on_start"))
    clock.stall(1.0)
    phases.add(event("runner_on_ok", duration=0.9))
    phases.add(event("runner_on_ok", duration=0.9))
    phases.add(event("playbook_on_stats"))
    assert phases.finished()[Phase.PLAY] == 0.0
