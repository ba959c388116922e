"""When what a run has left is ended: by its time, by its object, once, and not where nothing is left."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from reconcile_runner.execution.job import Job, RunSettings
from reconcile_runner.execution.remains import RemainingProcesses
from tests.support.fakes.clock import FakeClock

HERE, THERE = Path("/runs/here"), Path("/runs/there")


@dataclass
class Bench:
    clock: FakeClock = field(default_factory=FakeClock)
    living: set[str] = field(default_factory=set)
    ended: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.remains = RemainingProcesses(self.clock)

    def leave(self, ident: str, directory: Path = HERE, timeout: float | None = 10.0, duration: float = 3.0) -> None:
        async def end() -> None:
            self.ended.append(ident)
            self.living.discard(ident)

        self.living.add(ident)
        job = Job(ident, directory, Path("/play.yml"), None, RunSettings(timeout=timeout))
        self.remains.add(job, duration, lambda: ident in self.living, end)


async def test_the_time_of_a_run_goes_on_after_its_end() -> None:
    b = Bench()
    b.leave("1")
    await b.clock.advance(6.9)
    assert b.ended == []
    await b.clock.advance(0.1)
    assert b.ended == ["1"]


async def test_a_run_without_a_timeout_leaves_what_lives_as_long_as_the_object() -> None:
    b = Bench()
    b.leave("1", timeout=None)
    b.leave("2", THERE, timeout=None)
    await b.clock.advance(1e6)
    assert b.ended == []
    await b.remains.end_of(HERE)
    await b.remains.end_of(HERE)
    assert b.ended == ["1"]


async def test_what_has_ended_by_itself_is_not_ended() -> None:
    b = Bench()
    b.leave("1")
    b.living.clear()
    b.leave("2")
    await b.clock.advance(7.0)
    await b.remains.end_of(HERE)
    assert b.ended == ["2"]


async def test_after_close_nothing_is_ended() -> None:
    b = Bench()
    b.leave("1")
    b.remains.close()
    await b.clock.advance(100.0)
    await b.remains.end_of(HERE)
    assert b.ended == []
