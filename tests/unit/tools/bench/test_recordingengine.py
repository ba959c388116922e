from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from reconcile_runner.errors import ConfigError
from reconcile_runner.execution.job import Job, RunStatus
from reconcile_runner.execution.pool import Engine
from tests.support.fakes.engine import FakeEngine
from tools.bench.growth import Recorder
from tools.bench.recordingengine import REAL_PREFIX, RecordingEngine


def job(name: str) -> Job:
    return Job("1", Path("/runs/example.com/v1/Thing/default") / name, None, Path("/roles/thing"))


async def test_records_a_run_and_makes_none(tmp_path: Path) -> None:
    recorder, real = Recorder(), FakeEngine()
    server = await asyncio.start_unix_server(recorder.hear, tmp_path / "socket")
    async with server:
        engine: Engine = RecordingEngine(tmp_path / "socket", real)
        await engine.start()
        before = time.monotonic()
        result = await engine.run(job("a"), lambda _: None)
        assert before <= await recorder.time_of("a") <= time.monotonic()
        await engine.stop()
    assert result.status is RunStatus.SUCCESSFUL
    assert real.jobs == []


async def test_the_real_engine_is_there_and_runs_what_is_meant_for_it(tmp_path: Path) -> None:
    recorder, real = Recorder(), FakeEngine()
    server = await asyncio.start_unix_server(recorder.hear, tmp_path / "socket")
    async with server:
        engine = RecordingEngine(tmp_path / "socket", real)
        await engine.start()
        assert real.started
        await engine.run(job(f"{REAL_PREFIX}a"), lambda _: None)
        await engine.run(job("b"), lambda _: None)
        await recorder.wait_for_names(1)
        await engine.stop()
    assert [one.private_data_dir.name for one in real.jobs] == [f"{REAL_PREFIX}a"]
    assert not real.started


async def test_without_a_bench_it_cannot_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nobody listens"):
        await RecordingEngine(tmp_path / "nothing", FakeEngine()).start()
