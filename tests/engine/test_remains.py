"""Processes that outlive their run: they may live until its time is over, and no longer than its object."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reconcile_runner.apimachinery.objects import ObjectKey
from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.job import Job
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from tests.engine.test_execution_processes import eventually
from tests.support.fakes.clock import FakeClock
from tests.support.jobs import KEY, make_job
from tests.support.sleepers import new_nap, sleepers

pytestmark = pytest.mark.timeout(180)

TIMEOUT = 100.0
COUNT = 50
LEFT = COUNT + 3
"""How many ``leaves_processes.yml`` leaves."""


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["forkserver", "subprocess"])
async def engine(request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[Engine]:
    engine: Engine = {"forkserver": ForkserverEngine, "subprocess": SubprocessEngine}[request.param](clock=clock)
    await engine.start()
    yield engine
    await engine.stop()


async def leave(engine: Engine, root: Path, nap: str, key: ObjectKey = KEY, seconds: float | None = TIMEOUT) -> Job:
    job = make_job(root, "leaves_processes.yml", {"nap": nap, "count": COUNT}, key=key, timeout=seconds)
    result = await engine.run(job, lambda _event: None)
    assert result.succeeded, result.message
    await eventually(lambda: len(sleepers(nap)) == LEFT, "every process has been started")
    return job


async def test_they_end_when_the_time_of_their_run_is_over(engine: Engine, clock: FakeClock, tmp_path: Path) -> None:
    nap = new_nap()
    await leave(engine, tmp_path, nap)
    await clock.advance(TIMEOUT - 1)
    assert len(sleepers(nap)) == LEFT
    await clock.advance(1)
    await eventually(lambda: not sleepers(nap), "every process has ended", seconds=30)
    assert (await engine.run(make_job(tmp_path, "ok.yml"), lambda _event: None)).succeeded


async def test_they_end_with_their_object_and_no_other_objects_do(engine: Engine, tmp_path: Path) -> None:
    mine, others = new_nap(), new_nap()
    job = await leave(engine, tmp_path, mine, seconds=None)
    await leave(engine, tmp_path, others, ObjectKey("default", "foo-02"), seconds=None)
    await engine.end_remains(job.private_data_dir)
    assert sleepers(mine) == frozenset()
    assert len(sleepers(others)) == LEFT
    await engine.stop()
    assert sleepers(others) == frozenset()


async def test_a_later_run_of_the_object_leaves_them_alone(engine: Engine, tmp_path: Path) -> None:
    nap = new_nap()
    job = await leave(engine, tmp_path, nap)
    assert (await engine.run(make_job(tmp_path, "ok.yml"), lambda _event: None)).succeeded
    assert len(sleepers(nap)) == LEFT
    await engine.end_remains(job.private_data_dir)
    assert sleepers(nap) == frozenset()
