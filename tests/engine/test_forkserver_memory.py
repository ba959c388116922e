"""A run that takes more memory than there is dies alone. A control group makes the shortage; the kernel kills."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.job import RunStatus
from reconcile_runner.execution.processes import living_descendants
from tests.engine.test_execution_processes import children
from tests.support.jobs import make_job
from tests.support.paths import TESTDATA

pytestmark = pytest.mark.timeout(180)

LIMIT = 300 * 1024 * 1024
"""Bytes. What the engine's processes took before they came into the group does not count."""

HUNGRY = str(TESTDATA / "isolation" / "hungry.yml")
VERSIONS = ((Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"), (Path("/sys/fs/cgroup"), "memory.max"))


@pytest.fixture
def group() -> Iterator[Path]:
    for root, limit in VERSIONS:
        group = root / f"reconcile-runner-test-{uuid.uuid4().hex[:8]}"
        with contextlib.suppress(OSError):
            group.mkdir()
            try:
                (group / limit).write_text(str(LIMIT))
                yield group
                return
            finally:
                group.rmdir()
    pytest.skip("no control group with a limit of memory can be made here")


async def test_a_run_that_is_out_of_memory_dies_alone(group: Path, tmp_path: Path) -> None:
    engine = ForkserverEngine()
    await engine.start()
    try:
        assert (await engine.run(make_job(tmp_path / "first", "ok.yml"), lambda _event: None)).succeeded
        assert engine._server is not None
        (zygote,) = children(engine._server.pid)
        before = {engine._server.pid, zygote}
        for pid in before:
            (group / "cgroup.procs").write_text(str(pid))
        result = await engine.run(make_job(tmp_path / "hungry", HUNGRY), lambda _event: None)
        assert result.status is RunStatus.FAILED
        assert (await engine.run(make_job(tmp_path / "next", "ok.yml"), lambda _event: None)).succeeded
        assert before <= {engine._server.pid, *living_descendants(engine._server.pid)}, "server and zygote live"
    finally:
        await engine.stop()
