"""A run of nothing at the start."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from reconcile_runner.errors import ExecutionError, RunLostError
from reconcile_runner.execution.job import Job, RunResult, RunSettings, RunStatus
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.reconciler.inputdir import InputDir
from reconcile_runner.reconciler.warmup import warm_up
from tests.support.fakes.engine import FakeEngine


class LookingEngine(FakeEngine):
    """Looks at what it is given while it is there."""

    seen: dict[str, object]

    async def run(self, job: Job, on_event: Callable[[JobEvent], None]) -> RunResult:
        assert job.playbook is not None
        self.seen = {
            "playbook": json.loads(job.playbook.read_text()),
            "env": json.loads((job.private_data_dir / "env" / "envvars").read_text()),
        }
        return await super().run(job, on_event)


async def test_it_runs_an_empty_play_in_the_environment_of_runs_and_leaves_nothing(tmp_path: Path) -> None:
    engine = LookingEngine()
    await warm_up(engine, InputDir(tmp_path, {}), RunSettings(environment={"ANSIBLE_CONFIG": "/x/ansible.cfg"}))
    assert engine.seen["playbook"] == [{"hosts": "localhost", "gather_facts": False, "tasks": []}]
    env = engine.seen["env"]
    assert isinstance(env, dict)
    assert env["ANSIBLE_CONFIG"] == "/x/ansible.cfg"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "outcome",
    [RunResult(RunStatus.FAILED, message="no such vault password file"), ExecutionError("no such vault password file")],
    ids=["failed", "not run"],
)
async def test_one_that_fails_says_at_the_start_why_runs_will(
    tmp_path: Path, outcome: RunResult | ExecutionError
) -> None:
    with capture_logs() as lines:
        await warm_up(FakeEngine([outcome]), InputDir(tmp_path, {}), RunSettings())
    assert [line["error"] for line in lines if line["log_level"] == "error"] == ["no such vault password file"]
    assert not list(tmp_path.iterdir())


async def test_one_that_the_engine_lost_says_nothing_of_runs(tmp_path: Path) -> None:
    with capture_logs() as lines:
        await warm_up(FakeEngine([RunLostError("crashed")]), InputDir(tmp_path, {}), RunSettings())
    assert not [line for line in lines if line["log_level"] == "error"]


async def test_it_has_the_arguments_of_runs(tmp_path: Path) -> None:
    engine = FakeEngine()
    await warm_up(engine, InputDir(tmp_path, {}), RunSettings(ansible_args="--vault-password-file /x"))
    assert engine.jobs[0].settings.ansible_args == "--vault-password-file /x"


async def test_no_two_have_the_same_ident_by_which_an_operator_ends_its_runs_processes(tmp_path: Path) -> None:
    engine = FakeEngine()
    for _ in range(2):
        await warm_up(engine, InputDir(tmp_path, {}), RunSettings())
    first, second = engine.jobs
    assert first.ident != second.ident
