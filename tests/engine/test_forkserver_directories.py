"""Ansible's own directories (``ansible-tmp-*``, ``-local-*``, ``-moduletmp-*``): none outlives its run."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from tests.engine.test_execution_processes import eventually, nap, operator_in_its_last_task
from tests.engine.test_execution_tempdir import base
from tests.engine.test_forkserver_deaths import client, ignore, supervisor, works, zygote
from tests.support.jobs import make_job
from tests.support.sleepers import sleepers

__all__ = ["base", "nap"]  # the fixtures

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def temporary(base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let Ansible's directories be below that of everybody's temporary files."""
    for variable in ("ANSIBLE_LOCAL_TEMP", "ANSIBLE_REMOTE_TEMP"):
        monkeypatch.setenv(variable, str(base / variable))
        (base / variable).mkdir()
    return base


@pytest.fixture
async def engine(temporary: Path) -> AsyncIterator[ForkserverEngine]:
    engine = ForkserverEngine()
    await engine.start()
    yield engine
    await engine.stop()
    assert left(temporary) == []


def left(temporary: Path) -> list[Path]:
    """Return Ansible's directories, but for links to them. What goes meanwhile is no error, as it is for ``rglob``."""
    found = [Path(directory, name) for directory, names, _ in os.walk(temporary) for name in names]
    return [path for path in found if fnmatch(path.name, "ansible-*-*") and not path.is_symlink()]


async def started(
    engine: ForkserverEngine, tmp_path: Path, how: str, nap: str, temporary: Path
) -> asyncio.Task[object]:
    """Return a run that is in the middle of a task, with directories."""
    run: asyncio.Task[object] = asyncio.create_task(
        engine.run(make_job(tmp_path, "interrupted.yml", {"how": how, "nap": nap}), ignore), name="run"
    )
    await eventually(lambda: bool(sleepers(nap)) or run.done(), "the task is in hand")
    assert not run.done()
    assert {path.name.split("-")[1] for path in left(temporary)} == {"local", "moduletmp" if how == "module" else "tmp"}
    return run


@pytest.mark.parametrize("how", ["script", "module"])
async def test_a_run_that_is_cancelled_leaves_none(
    engine: ForkserverEngine, tmp_path: Path, nap: str, temporary: Path, how: str
) -> None:
    assert await works(engine, tmp_path)
    run = await started(engine, tmp_path, how, nap, temporary)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert left(temporary) == []


@pytest.mark.parametrize("who", [client, supervisor, zygote])
async def test_a_process_of_the_fork_server_that_is_killed_leaves_none(
    engine: ForkserverEngine, tmp_path: Path, nap: str, temporary: Path, who: Callable[[ForkserverEngine], int]
) -> None:
    run = await started(engine, tmp_path, "script", nap, temporary)
    os.kill(who(engine), signal.SIGKILL)
    await asyncio.gather(run, return_exceptions=True)
    await eventually(lambda: left(temporary) == [], "nothing is left", seconds=10)


async def test_a_module_that_is_killed_leaves_none(
    engine: ForkserverEngine, tmp_path: Path, nap: str, temporary: Path
) -> None:
    result = await engine.run(make_job(tmp_path, "interrupted.yml", {"how": "killed", "nap": nap}), ignore)
    assert not result.succeeded
    await eventually(lambda: left(temporary) == [], "nothing is left")


async def test_an_asynchronous_task_that_is_killed_after_its_run_leaves_none(
    engine: ForkserverEngine, tmp_path: Path, nap: str, temporary: Path
) -> None:
    job = make_job(tmp_path, "interrupted.yml", {"how": "async", "nap": nap})
    assert (await engine.run(job, ignore)).succeeded
    await eventually(lambda: bool(sleepers(nap)), "the task is in hand")
    assert [path.name.split("-")[1] for path in left(temporary)] == ["tmp"], "the task's own"
    await engine.stop()
    assert left(temporary) == []


async def test_when_the_operator_is_killed_none_is_left(tmp_path: Path, nap: str, temporary: Path) -> None:
    child = await operator_in_its_last_task(tmp_path, nap, ENGINE="forkserver")
    assert left(temporary), "the asynchronous task has one, and the play"
    child.kill()
    await child.wait()
    await eventually(lambda: left(temporary) == [], "nothing is left", seconds=10)
