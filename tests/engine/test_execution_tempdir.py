"""Temporary files: a run has a directory for them, and nothing in it outlives the run, however that ends."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from tests.engine.test_execution_processes import RUNAWAYS, eventually, nap, operator_in_its_last_task
from tests.support.jobs import make_job
from tests.support.sleepers import sleepers

__all__ = ["nap"]  # the fixture

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def base(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let the system's directory for temporary files be an own one, with a path that is short enough for sockets."""
    tmp_path_factory.getbasetemp()  # pytest's own directory is made elsewhere
    with tempfile.TemporaryDirectory(prefix="base-") as base:
        monkeypatch.setenv("TMPDIR", base)
        monkeypatch.setattr("tempfile.tempdir", None)
        yield Path(base)


@pytest.fixture(params=[SubprocessEngine, ForkserverEngine], ids=["subprocess", "forkserver"])
async def engine(request: pytest.FixtureRequest, base: Path) -> AsyncIterator[Engine]:
    assert base.is_dir()
    engine: Engine = request.param()
    await engine.start()
    yield engine
    await engine.stop()
    assert list(base.iterdir()) == []


def left(base: Path) -> list[Path]:
    """Return everything that runs have left in the directories that they were given.

    What goes meanwhile is no error, as it is for ``rglob``.
    """
    found = [Path(place, name) for place, *names in os.walk(base) for name in itertools.chain(*names)]
    return [path for path in found if path.name.startswith(("left-by", "tmp.", "ansible_", "outliving"))]


async def play(engine: Engine, tmp_path: Path, **variables: object) -> tuple[bool, list[Path]]:
    """Play ``leaves.yml``; return whether it succeeded, and the paths that it told of, its ``TMPDIR`` the first."""
    events: list[JobEvent] = []
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    job = make_job(tmp_path / "runs", "leaves.yml", {"elsewhere": str(elsewhere), **variables})
    result = await engine.run(job, events.append)
    said = [event.data["res"]["msg"] for event in events if event.task == "Paths" and "res" in event.data]
    assert said, result
    return result.succeeded, [Path(path) for path in said[0].split()]


async def test_what_a_run_leaves_goes_with_it(engine: Engine, base: Path, tmp_path: Path) -> None:
    for _ in range(3):  # from its second run on, a module is known to a fork server
        succeeded, (temporary, module, command, other) = await play(engine, tmp_path)
        assert succeeded
        assert temporary.is_relative_to(base)
        assert module.parent == command.parent == temporary
        assert other.parent == tmp_path / "elsewhere"
        assert other.exists(), "what a role puts elsewhere is its own"
        await eventually(lambda: left(base) == [], "nothing is left")


async def test_what_a_killed_module_leaves_goes_with_its_run(engine: Engine, base: Path, tmp_path: Path) -> None:
    succeeded, _ = await play(engine, tmp_path, killed=True)
    assert not succeeded
    await eventually(lambda: left(base) == [], "nothing is left")


async def test_what_a_run_leaves_that_is_ended_goes_with_it(
    engine: Engine, base: Path, tmp_path: Path, nap: str
) -> None:
    run = asyncio.create_task(engine.run(make_job(tmp_path / "runs", "sleeps.yml", {"nap": nap}), lambda _: None))
    await eventually(lambda: len(sleepers(nap)) >= RUNAWAYS or run.done(), "all sleepers run")
    assert not run.done()
    assert left(base), "modules that run have files"
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert left(base) == []


@pytest.mark.exhaustive
async def test_an_asynchronous_task_keeps_its_files_until_it_ends(
    engine: Engine, base: Path, tmp_path: Path, nap: str
) -> None:
    _, (temporary, *_) = await play(engine, tmp_path, nap=nap)
    await play(engine, tmp_path)
    assert (temporary / "outliving").exists()
    for pid in sleepers(nap):
        os.kill(pid, signal.SIGKILL)
    await eventually(lambda: left(base) == [], "nothing is left")


@pytest.mark.parametrize("kind", ["subprocess", "forkserver"])
async def test_when_the_operator_is_killed_nothing_is_left(base: Path, tmp_path: Path, nap: str, kind: str) -> None:
    child = await operator_in_its_last_task(tmp_path, nap, ENGINE=kind)
    assert list(base.iterdir())
    child.kill()
    await child.wait()
    await eventually(lambda: list(base.iterdir()) == [], "nothing is left", seconds=10)


async def test_where_its_path_would_be_too_long_for_sockets_a_run_has_the_operators_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="long-enough-for-sockets-but-not-with-one-more-") as base:
        monkeypatch.setenv("TMPDIR", base)
        monkeypatch.setattr("tempfile.tempdir", None)
        engine = SubprocessEngine()
        with capture_logs() as lines:
            await engine.start()
        try:
            _, (temporary, *_) = await play(engine, tmp_path)
        finally:
            await engine.stop()
    assert temporary == Path(base)
    assert [line["event"] for line in lines] == ["no TMPDIR per run: its path would be too long for a socket"]
