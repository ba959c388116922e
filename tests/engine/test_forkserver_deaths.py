"""A death is one run's only, and leaves nothing: whichever process of the fork server dies, and however."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from reconcile_runner.errors import ExecutionError, RunLostError
from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.forkserver.wire import Patience
from reconcile_runner.execution.job import RunStatus
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.processes import kill_until_gone, living_descendants
from tests.engine.test_execution_processes import (
    LAST_TASK,
    RUNAWAYS,
    children,
    eventually,
    exists,
    nap,
    operator_in_its_last_task,
)
from tests.support.jobs import make_job
from tests.support.sleepers import sleepers

__all__ = ["nap"]  # the fixture

pytestmark = pytest.mark.timeout(180)


def ignore(_event: JobEvent) -> None:
    pass


def server(engine: ForkserverEngine) -> int:
    assert engine._server is not None
    return engine._server.pid


def zygote(engine: ForkserverEngine) -> int:
    (pid,) = children(server(engine))
    return pid


def supervisor(engine: ForkserverEngine) -> int:
    (pid,) = children(zygote(engine))
    return pid


def client(engine: ForkserverEngine) -> int:
    assert engine._pool is not None
    (launcher,) = engine._pool._busy
    (pid,) = children(launcher.pid)
    return pid


async def started(engine: ForkserverEngine, tmp_path: Path, nap: str) -> asyncio.Task[object]:
    """Return a run of ``sleeps.yml`` that has come to its last task."""
    run: asyncio.Task[object] = asyncio.create_task(
        engine.run(make_job(tmp_path, "sleeps.yml", {"nap": nap}, timeout=None), ignore), name="run"
    )
    await eventually(lambda: len(sleepers(nap)) >= RUNAWAYS or run.done(), "all sleepers run")
    assert not run.done()
    return run


async def works(engine: ForkserverEngine, tmp_path: Path) -> bool:
    return (await engine.run(make_job(tmp_path, "ok.yml"), ignore)).succeeded


async def test_a_run_is_a_fork(engine: ForkserverEngine, tmp_path: Path, nap: str) -> None:
    run = await started(engine, tmp_path, nap)
    assert sleepers(nap) <= living_descendants(supervisor(engine))
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_a_timeout_ends_every_process_of_the_run_and_no_other(
    engine: ForkserverEngine, tmp_path: Path, nap: str
) -> None:
    assert await works(engine, tmp_path)
    zygote_before = zygote(engine)
    for limit in (6.0, 20.0, 60.0):  # the machine decides how long it takes to come to the last task
        events: list[JobEvent] = []
        job = make_job(tmp_path, "sleeps.yml", {"nap": nap}, timeout=limit)
        result = await engine.run(job, events.append)
        assert sleepers(nap) == frozenset()
        if events[-1].task == LAST_TASK:
            break
    assert result.status is RunStatus.TIMED_OUT
    assert await works(engine, tmp_path)
    assert zygote_before in children(server(engine))


async def test_cancellation_ends_every_process_of_the_run(engine: ForkserverEngine, tmp_path: Path, nap: str) -> None:
    run = await started(engine, tmp_path, nap)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert sleepers(nap) == frozenset()
    assert await works(engine, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP], ids=lambda one: one.name)
async def test_a_client_that_is_killed_takes_its_run_along(
    engine: ForkserverEngine, tmp_path: Path, nap: str, number: signal.Signals
) -> None:
    """SIGHUP is what the kernel sends when the launcher dies."""
    run = await started(engine, tmp_path, nap)
    os.kill(client(engine), number)
    await eventually(lambda: not sleepers(nap), "every process of the run has ended", seconds=10)
    assert (await run).status is RunStatus.FAILED  # type: ignore[attr-defined]
    assert await works(engine, tmp_path)


async def test_a_supervisor_that_is_killed_loses_its_run_and_leaves_nothing(
    engine: ForkserverEngine, tmp_path: Path, nap: str
) -> None:
    run = await started(engine, tmp_path, nap)
    os.kill(supervisor(engine), signal.SIGKILL)
    with pytest.raises(RunLostError, match="is retried"):
        await run
    await eventually(lambda: not sleepers(nap), "every process of the run has ended", seconds=10)
    assert await works(engine, tmp_path)


async def test_a_zygote_that_is_killed_is_replaced(engine: ForkserverEngine, tmp_path: Path, nap: str) -> None:
    run = await started(engine, tmp_path, nap)
    os.kill(zygote(engine), signal.SIGKILL)
    with pytest.raises(RunLostError, match="is retried"):
        await run
    await eventually(lambda: not sleepers(nap), "every process of the run has ended", seconds=10)
    assert await works(engine, tmp_path)


async def test_a_server_that_is_killed_is_replaced_and_who_waits_is_served(
    engine: ForkserverEngine, tmp_path: Path, nap: str
) -> None:
    run = await started(engine, tmp_path, nap)
    first = server(engine)
    os.kill(first, signal.SIGKILL)
    assert await works(engine, tmp_path / "other"), "a request that came while there was no server"
    with pytest.raises(RunLostError, match="is retried"):
        await run
    await eventually(lambda: not sleepers(nap), "every process of the run has ended", seconds=10)
    assert server(engine) != first


async def test_a_request_that_has_not_begun_when_the_server_dies_is_sent_again(
    engine: ForkserverEngine, tmp_path: Path
) -> None:
    """The first run waits for Ansible to be loaded, so the server has received it and begun nothing."""
    run = asyncio.create_task(engine.run(make_job(tmp_path, "ok.yml"), ignore), name="run")
    await eventually(lambda: bool(children(server(engine))), "a zygote is being primed")
    os.kill(server(engine), signal.SIGKILL)
    assert (await run).succeeded


async def test_a_server_that_crashes_too_often_is_disabled(engine: ForkserverEngine, tmp_path: Path) -> None:
    keeper = engine._watcher
    assert keeper is not None
    while not keeper.done():
        pid = server(engine)
        os.kill(pid, signal.SIGKILL)
        replaced = functools.partial(lambda before: server(engine) != before or keeper.done(), pid)
        await eventually(replaced, "it is replaced or disabled")
    assert await works(engine, tmp_path), "each run starts an ansible-playbook of its own"


@pytest.fixture
async def impatient() -> AsyncIterator[ForkserverEngine]:
    """Return an engine that soon notices who hangs."""
    engine = ForkserverEngine(patience=Patience(beat=0.5))
    await engine.start()
    yield engine
    await engine.stop()


async def works_again(engine: ForkserverEngine, tmp_path: Path) -> bool:
    """Run until a run is not lost: on a busy machine, one that lives may be late, and is replaced as well."""
    while True:
        try:
            return await works(engine, tmp_path)
        except RunLostError:
            continue


async def test_a_zygote_that_hangs_is_replaced(impatient: ForkserverEngine, tmp_path: Path, nap: str) -> None:
    run = await started(impatient, tmp_path, nap)
    hung = zygote(impatient)
    os.kill(hung, signal.SIGSTOP)
    with pytest.raises(RunLostError, match="is retried"):
        await run
    await eventually(lambda: not sleepers(nap), "every process of its run has ended", seconds=10)
    await eventually(lambda: not exists(hung), "it has been reaped", seconds=10)
    assert await works_again(impatient, tmp_path)


async def test_a_server_that_hangs_is_replaced(impatient: ForkserverEngine, tmp_path: Path, nap: str) -> None:
    run = await started(impatient, tmp_path, nap)
    hung = server(impatient)
    os.kill(hung, signal.SIGSTOP)
    with pytest.raises(RunLostError, match="is retried"):
        await run
    await eventually(lambda: not sleepers(nap), "every process of its run has ended", seconds=10)
    await eventually(lambda: server(impatient) != hung, "another server")
    assert await works_again(impatient, tmp_path)


async def test_while_a_zygote_that_was_killed_is_replaced_runs_go_the_ordinary_way(
    engine: ForkserverEngine, tmp_path: Path
) -> None:
    """The next zygote is kept from ever being ready."""
    assert await works(engine, tmp_path)
    os.kill(zygote(engine), signal.SIGKILL)
    await eventually(lambda: not children(server(engine)), "it has been reaped")
    run = asyncio.create_task(works(engine, tmp_path), name="run")
    await eventually(lambda: bool(children(server(engine))), "another is being primed")
    os.kill(zygote(engine), signal.SIGSTOP)
    assert await run
    assert await works(engine, tmp_path)
    assert children(zygote(engine)) == []


@pytest.mark.parametrize("hanging", ["server", "zygote", "zygote that loads Ansible"])
async def test_whoever_hangs_a_run_does_not_wait_for_ever(tmp_path: Path, hanging: str) -> None:
    engine = ForkserverEngine(patience=Patience(beat=1000, priming=1.0, answer=2.0))
    await engine.start()
    try:
        if hanging == "zygote":
            assert await works(engine, tmp_path)
            await eventually(lambda: bool(children(server(engine))), "a zygote")
            os.kill(zygote(engine), signal.SIGSTOP)
        elif hanging == "server":
            os.kill(server(engine), signal.SIGSTOP)
        run = asyncio.create_task(works(engine, tmp_path), name="run")
        if hanging == "zygote that loads Ansible":
            await eventually(lambda: bool(children(server(engine))), "a zygote is being primed")
            os.kill(zygote(engine), signal.SIGSTOP)
        assert await run
    finally:
        await engine.stop()


async def test_stopping_ends_what_runs_and_removes_every_file(tmp_path: Path, nap: str) -> None:
    engine = ForkserverEngine()
    await engine.start()
    run = await started(engine, tmp_path, nap)
    pids = {server(engine), *living_descendants(server(engine))}
    home = engine._home
    await engine.stop()
    with pytest.raises(ExecutionError):
        await run
    assert sleepers(nap) == frozenset()
    assert [pid for pid in pids if exists(pid)] == []
    assert not home.exists()


async def test_when_the_operator_is_killed_nothing_is_left(tmp_path: Path, nap: str) -> None:
    child = await operator_in_its_last_task(tmp_path, nap, ENGINE="forkserver", TMPDIR=str(tmp_path))
    everybody = living_descendants(child.pid)
    child.kill()
    await child.wait()
    try:
        await eventually(lambda: not any(map(exists, everybody)), "every process has ended", seconds=10)
        await eventually(lambda: not list(tmp_path.glob("reconcile-runner-*")), "its directory is gone", seconds=10)
        assert sleepers(nap) == frozenset()
    finally:
        kill_until_gone(lambda: sleepers(nap))


async def test_runs_leave_no_process_and_no_file(engine: ForkserverEngine, tmp_path: Path) -> None:
    for _ in range(3):
        assert await works(engine, tmp_path)
    await eventually(lambda: not children(zygote(engine)), "the supervisors have been reaped")
    assert list((engine._home / "runs").iterdir()) == []
    assert list((engine._home / "lost").iterdir()) == []
