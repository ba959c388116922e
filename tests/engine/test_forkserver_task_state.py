"""What a task's plugins leave in their process reaches no other task: as where each task has a worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.forkserver.patches.worker import leaves_nothing
from reconcile_runner.execution.job import RunStatus
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from tests.support.jobs import make_job
from tests.support.paths import TESTDATA

pytestmark = pytest.mark.timeout(180)

TASKSTATE = TESTDATA / "taskstate"
COLLECTIONS = {"ANSIBLE_COLLECTIONS_PATH": str(TASKSTATE / "collections")}


async def report(engine: Engine, root: Path) -> dict[str, Any]:
    path = root / "report.json"
    job = make_job(root, str(TASKSTATE / "state.yml"), {"report": str(path)}, env=COLLECTIONS)
    result = await engine.run(job, lambda _event: None)
    assert result.succeeded, result.message
    seen: dict[str, Any] = orjson.loads(path.read_bytes())
    return seen


async def test_a_later_task_finds_nothing_and_nothing_is_done_twice(
    engine: ForkserverEngine, ordinary: SubprocessEngine, tmp_path: Path
) -> None:
    seen = await report(engine, tmp_path / "forked")
    assert seen == await report(ordinary, tmp_path / "ordinary")
    assert seen["before"] == seen["after"]
    assert (seen["first"], seen["second"]) == ("none", "none")
    assert seen["ran"] == "ran"


async def test_a_plugin_that_takes_its_process_with_it_fails_the_run_as_a_dead_worker_does(
    engine: ForkserverEngine, ordinary: SubprocessEngine, tmp_path: Path
) -> None:
    results = []
    for name, each in (("forked", engine), ("ordinary", ordinary)):
        job = make_job(tmp_path / name, str(TASKSTATE / "crash.yml"), env=COLLECTIONS)
        results.append(await each.run(job, lambda _event: None))
    assert {result.status for result in results} == {RunStatus.FAILED}
    assert results[0].message == results[1].message


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("map", None, True),
        ("ansible.builtin.map", None, True),
        ("ansible.legacy.map", None, True),
        ("kubernetes.core.k8s_config_resource_name", None, False),
        ("file", frozenset({"file"}), True),
        ("ansible.builtin.url", frozenset({"file"}), False),
        ("kubernetes.core.k8s", frozenset({"k8s"}), False),
    ],
)
def test_only_ansibles_own_plugins_are_known_to_leave_nothing(
    name: str, known: frozenset[str] | None, expected: bool
) -> None:
    assert leaves_nothing(name, known) is expected
