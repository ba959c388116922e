"""The engine ``subprocess`` and its pool, with a stand-in for ``ansible-playbook``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.errors import ConfigError
from reconcile_runner.execution.job import Job, RunResult, RunSettings, RunStatus
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from reconcile_runner.reconciler.inputdir import InputDir
from tests.support.fakes.engine import FakeEngine

FOO = GroupVersionKind("tutorial.my.domain", "v1", "Foo")
Run = Callable[..., Awaitable[RunResult]]


class StandIn:
    """An engine whose program is a shell script, and a directory for its runs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.script = root / "stand-in"
        self.script.touch(mode=0o700)
        self.engine = SubprocessEngine(self.script)
        self.pool = self.engine._pool
        self.events: list[JobEvent] = []

    async def run(self, script: str, *, name: str = "foo", limit: float = 50.0) -> RunResult:
        self.script.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        directory = InputDir(self.root / "runs", {}).write(FOO, ObjectKey("default", name), b"{}", "", RunSettings())
        job = Job("1", directory, Path("/play.yml"), None, RunSettings(timeout=limit))
        return await self.engine.run(job, self.events.append)


@pytest.fixture
async def stand_in(tmp_path: Path) -> AsyncIterator[StandIn]:
    stand_in = StandIn(tmp_path)
    yield stand_in
    await stand_in.engine.stop()


async def test_what_the_program_says_reaches_the_listener_and_the_result(stand_in: StandIn) -> None:
    result = await stand_in.run("echo '[ERROR]: no luck'; exit 4")
    assert result.status is RunStatus.FAILED
    assert result.message == "no luck"
    assert [event.stdout for event in stand_in.events] == ["[ERROR]: no luck"]


async def test_the_program_gets_playbook_inventory_variables_and_verbosity(stand_in: StandIn) -> None:
    await stand_in.run('echo "$@"')
    (event,) = stand_in.events
    directory = stand_in.root / "runs/tutorial.my.domain/v1/Foo/default/foo"
    assert event.stdout == f"/play.yml -i {directory}/inventory -e @{directory}/env/extravars -vv"


async def test_a_launcher_serves_one_run_after_another(stand_in: StandIn) -> None:
    await stand_in.engine.start()
    (launcher,) = stand_in.pool._idle
    for _ in range(2):
        await stand_in.run("true")
    assert stand_in.pool._idle == [launcher]


async def test_a_run_that_takes_too_long_is_ended(stand_in: StandIn) -> None:
    result = await stand_in.run("sleep 1000", limit=0.2)
    assert result.status is RunStatus.TIMED_OUT
    assert result.message == "ended because it took longer than the limit of 0.2 seconds"
    assert stand_in.pool._busy == set()


async def test_a_cancelled_run_leaves_no_launcher_and_no_task(stand_in: StandIn) -> None:
    run = asyncio.create_task(stand_in.run("echo up; sleep 1000"), name="run")
    while not stand_in.events:  # noqa: ASYNC110 - the events come from another process
        await asyncio.sleep(0.01)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    pool = stand_in.pool
    assert (pool._idle, pool._busy, pool._tasks) == ([], set(), set())


async def test_a_run_that_is_cancelled_twice_still_ends(stand_in: StandIn) -> None:
    run = asyncio.create_task(stand_in.run("echo up; sleep 1000"), name="run")
    while not stand_in.events:  # noqa: ASYNC110 - the events come from another process
        await asyncio.sleep(0.01)
    run.cancel()
    await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await stand_in.engine.stop()
    assert stand_in.pool._tasks == set()


async def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    engine = SubprocessEngine(tmp_path / "nothing")
    with pytest.raises(ConfigError, match="nothing was not found, or cannot be executed"):
        await engine.start()


async def test_a_program_that_went_away_is_a_failure_that_says_so(stand_in: StandIn) -> None:
    result = await stand_in.run("rm $0")
    assert result.status is RunStatus.FAILED, "a program that plays nothing has not succeeded"
    job = Job("2", stand_in.root / "runs/tutorial.my.domain/v1/Foo/default/foo", Path("/play.yml"), None)
    result = await stand_in.engine.run(job, stand_in.events.append)
    assert result.status is RunStatus.FAILED
    assert "was not found or was not executable" in result.message


async def test_stopping_twice_is_no_error(stand_in: StandIn) -> None:
    await stand_in.engine.start()
    await stand_in.engine.stop()
    await stand_in.engine.stop()


def test_both_engines_are_engines(tmp_path: Path) -> None:
    engines: list[Engine] = [SubprocessEngine(tmp_path), FakeEngine()]
    assert len(engines) == 2
