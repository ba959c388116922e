"""A run of nothing at the start."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from reconcile_runner.errors import ExecutionError
from reconcile_runner.execution.job import Job, RunResult, RunSettings
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


async def test_one_that_fails_is_no_matter(tmp_path: Path) -> None:
    await warm_up(FakeEngine([ExecutionError("no")]), InputDir(tmp_path, {}), RunSettings())
    assert not list(tmp_path.iterdir())
