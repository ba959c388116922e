"""What becomes of the processes of a run: none is left when it is ended, whoever ends it and wherever they went."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from reconcile_runner.apimachinery.objects import ObjectKey
from reconcile_runner.errors import ExecutionError
from reconcile_runner.execution.job import RunStatus
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import SubprocessEngine
from reconcile_runner.execution.processes import kill_until_gone
from tests.support.jobs import make_job
from tests.support.paths import REPOSITORY
from tests.support.sleepers import new_nap, sleepers

pytestmark = pytest.mark.timeout(180)

LAST_TASK = "Do not end"
RUNAWAYS = 5
"""How many processes ``sleeps.yml`` has left behind, or waits for, in its last task."""


@pytest.fixture
async def engine() -> AsyncIterator[SubprocessEngine]:
    engine = SubprocessEngine()
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
def nap() -> str:
    return new_nap()


async def eventually(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - other processes set no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what}")


def launchers(engine: SubprocessEngine) -> list[int]:
    pool = engine._pool
    return [launcher.pid for launcher in (*pool._idle, *pool._busy, *pool._retired)]


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def started(engine: SubprocessEngine, tmp_path: Path, nap: str) -> asyncio.Task[object]:
    """Return a run of ``sleeps.yml`` that has come to its last task."""
    job = make_job(tmp_path, "sleeps.yml", {"nap": nap})
    run: asyncio.Task[object] = asyncio.create_task(engine.run(job, lambda _event: None), name="run")
    await eventually(lambda: len(sleepers(nap)) >= RUNAWAYS or run.done(), "all sleepers run")
    assert not run.done()
    return run


async def operator_in_its_last_task(tmp_path: Path, nap: str, **environment: str) -> asyncio.subprocess.Process:
    """Return an operator to be killed, with a run of ``sleeps.yml`` that has come to its last task."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.engine_child", str(tmp_path), "sleeps.yml", nap, LAST_TASK,
        cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, env=os.environ | environment,
    )  # fmt: skip
    assert child.stdout is not None
    assert await child.stdout.readline() == f"{LAST_TASK}\n".encode()
    await eventually(lambda: len(sleepers(nap)) >= RUNAWAYS, "all sleepers run")
    return child


async def test_a_timeout_ends_every_process_of_the_run(
    engine: SubprocessEngine, tmp_path: Path, nap: str, record_property: Callable[[str, object], None]
) -> None:
    for limit in (6.0, 20.0, 60.0):  # the machine decides how long it takes to come to the last task
        events: list[JobEvent] = []
        job = make_job(tmp_path, "sleeps.yml", {"nap": nap}, timeout=limit)
        result = await engine.run(job, events.append)
        assert sleepers(nap) == frozenset()
        if events[-1].task == LAST_TASK:
            break
    assert events[-1].task == LAST_TASK
    assert result.status is RunStatus.TIMED_OUT
    assert result.message.startswith(f"ended because it took longer than the limit of {limit:g} seconds")
    assert f"in the task '{LAST_TASK}'" in result.message
    record_property("seconds_from_timeout_to_all_dead", round(result.duration - limit, 3))


async def test_cancellation_ends_every_process_of_the_run(engine: SubprocessEngine, tmp_path: Path, nap: str) -> None:
    run = await started(engine, tmp_path, nap)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert sleepers(nap) == frozenset()
    assert launchers(engine) == []


async def test_a_launcher_that_hangs_is_ended_with_its_run(engine: SubprocessEngine, tmp_path: Path, nap: str) -> None:
    run = await started(engine, tmp_path, nap)
    (launcher,) = launchers(engine)
    os.kill(launcher, signal.SIGSTOP)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert sleepers(nap) == frozenset()
    assert not exists(launcher)


async def test_a_launcher_that_dies_fails_its_run_and_is_replaced(
    engine: SubprocessEngine, tmp_path: Path, nap: str
) -> None:
    run = await started(engine, tmp_path, nap)
    (launcher,) = launchers(engine)
    os.kill(launcher, signal.SIGKILL)
    with pytest.raises(ExecutionError, match="launcher process was ended by SIGKILL"):
        await run
    # A process that dropped its environment and lost its parent is nobody's now; the others are gone.
    left = sleepers(nap)
    assert len(left) <= 2
    kill_until_gone(lambda: sleepers(nap))
    assert (await engine.run(make_job(tmp_path, "ok.yml"), lambda _event: None)).succeeded


async def test_an_idle_launcher_that_dies_is_replaced_unnoticed(engine: SubprocessEngine, tmp_path: Path) -> None:
    (launcher,) = launchers(engine)
    os.kill(launcher, signal.SIGKILL)
    assert (await engine.run(make_job(tmp_path, "ok.yml"), lambda _event: None)).succeeded


async def test_when_the_operator_is_killed_its_runs_end(tmp_path: Path, nap: str) -> None:
    child = await operator_in_its_last_task(tmp_path, nap)
    (launcher,) = children(child.pid)
    child.kill()
    await child.wait()
    await eventually(lambda: not sleepers(nap), "every process of the run has ended", seconds=10)
    await eventually(lambda: not exists(launcher), "the launcher has ended", seconds=10)


async def test_stopping_the_engine_ends_what_runs(engine: SubprocessEngine, tmp_path: Path, nap: str) -> None:
    run = await started(engine, tmp_path, nap)
    pids = launchers(engine)
    await engine.stop()
    with pytest.raises(ExecutionError):
        await run
    assert sleepers(nap) == frozenset()
    assert [pid for pid in pids if exists(pid)] == []


async def test_two_runs_go_on_at_once(engine: SubprocessEngine, tmp_path: Path) -> None:
    ways = [str(tmp_path / "one"), str(tmp_path / "two")]
    jobs = [
        make_job(tmp_path, "meet.yml", {"mine": mine, "other": other}, key=ObjectKey("default", Path(mine).name))
        for mine, other in (ways, reversed(ways))
    ]
    results = await asyncio.gather(*(engine.run(job, lambda _event: None) for job in jobs))
    assert [result.message for result in results] == ["", ""]
    assert len(launchers(engine)) == 2


async def test_an_asynchronous_task_outlives_its_run_and_the_end_of_the_next(
    engine: SubprocessEngine, tmp_path: Path, nap: str
) -> None:
    done = tmp_path / "done"
    background = "6"
    job = make_job(tmp_path, "leaves_async.yml", {"nap": background, "done": str(done)})
    assert (await engine.run(job, lambda _event: None)).succeeded
    (first,) = launchers(engine)
    assert not done.exists()
    run = await started(engine, tmp_path, nap)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    await eventually(done.exists, "the asynchronous task has ended by itself")
    await eventually(lambda: not exists(first), "the launcher that waited for it has ended, and no zombie is left")
    await eventually(lambda: launchers(engine) == [], "the engine has learnt of it")


async def test_a_process_that_holds_the_terminal_does_not_hold_the_run(
    engine: SubprocessEngine, tmp_path: Path, nap: str
) -> None:
    result = await engine.run(make_job(tmp_path, "holds_terminal.yml", {"nap": nap}), lambda _event: None)
    assert result.succeeded, result.message
    assert len(sleepers(nap)) == 1
    await engine.stop()
    assert sleepers(nap) == frozenset()


async def test_a_listener_that_raises_ends_the_run(engine: SubprocessEngine, tmp_path: Path, nap: str) -> None:
    def refuse(event: JobEvent) -> None:
        if event.task == LAST_TASK:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await engine.run(make_job(tmp_path, "sleeps.yml", {"nap": nap}), refuse)
    assert sleepers(nap) == frozenset()


async def test_runs_leave_no_descriptor_open(engine: SubprocessEngine, tmp_path: Path) -> None:
    def descriptors(pid: int) -> int:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    (launcher,) = launchers(engine)
    await engine.run(make_job(tmp_path, "ok.yml"), lambda _event: None)
    before = descriptors(os.getpid()), descriptors(launcher)
    for _ in range(3):
        await engine.run(make_job(tmp_path, "ok.yml"), lambda _event: None)
    assert (descriptors(os.getpid()), descriptors(launcher)) == before
