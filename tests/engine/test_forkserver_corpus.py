"""Both engines tell the same of a run: every event, result and exit code of a corpus of playbooks, but ids and times.

Once for each supported ansible-core that is installed here (``tests.support.cores``).
"""

from __future__ import annotations

import asyncio
import difflib
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.job import RunResult
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from tests.support import jobevents
from tests.support.cores import EACH, NoInterpreterError, ansible_playbook
from tests.support.jobs import PROJECTS, make_job
from tests.support.paths import TESTDATA

pytestmark = pytest.mark.timeout(300)

CORPUS = TESTDATA / "corpus"
ELSEWHERE = {
    *("command_line.yml", "holds_terminal.yml", "leaves.yml", "leaves_async.yml", "meet.yml", "remembers.yml"),
    *("shows_life.yml", "sleeps.yml"),
}
"""Projects of which no two runs are the same, or that need another to run at the time; other tests run them."""

OUTCOMES = sorted(CORPUS.glob("*.yml"))
PROJECTS_TOO = sorted(set(PROJECTS.glob("*.yml")) - {PROJECTS / name for name in ELSEWHERE})
OTHER_PYTHON = shutil.which("python3", path="/usr/bin") or sys.executable


@pytest.fixture(scope="module", params=EACH)
def program(request: pytest.FixtureRequest) -> Path:
    try:
        return ansible_playbook(request.param)
    except NoInterpreterError as missing:
        pytest.skip(str(missing))


@dataclass(frozen=True)
class Engines:
    """Both engines of one core, and the loop that they live on from test to test."""

    subprocess: Engine
    forkserver: Engine
    loop: asyncio.Runner


@pytest.fixture(scope="module")
def engines(program: Path) -> Iterator[Engines]:
    with asyncio.Runner() as loop:
        both = Engines(SubprocessEngine(program), ForkserverEngine(program), loop)
        for engine in (both.subprocess, both.forkserver):
            loop.run(engine.start())
        yield both
        for engine in (both.subprocess, both.forkserver):
            loop.run(engine.stop())


async def told(engine: Engine, root: Path, playbook: Path) -> tuple[RunResult, list[dict[str, Any]]]:
    """Return a run's result, and its events as ansible-runner keeps them, with what is its own masked."""
    (root / "scratch").mkdir(parents=True)
    env = {"CORPUS_VALUE": "of the run", "CORPUS_SCRATCH": str(root / "scratch"), "CORPUS_PYTHON": OTHER_PYTHON}
    job = make_job(
        root, str(playbook), {"secret": "hunter2", "text": "gruß"}, env=env,
        cmdline=f"--vault-password-file {CORPUS}/vault-password",
    )  # fmt: skip
    result = await engine.run(job, lambda _event: None)
    return result, [jobevents.masked(event, root, job) for event in jobevents.kept(job)]


def lines(events: list[dict[str, Any]]) -> list[str]:
    return json.dumps(events, indent=1, sort_keys=True, ensure_ascii=False).splitlines()


def assert_same(engines: Engines, root: Path, playbook: Path) -> None:
    ordinary, ordinary_events = engines.loop.run(told(engines.subprocess, root / "ordinary", playbook))
    forked, forked_events = engines.loop.run(told(engines.forkserver, root / "forked", playbook))
    different = list(difflib.unified_diff(lines(ordinary_events), lines(forked_events), lineterm="", n=0))
    assert not different, "\n".join(different[:60])
    assert forked.status == ordinary.status
    assert forked.stats == ordinary.stats
    assert len(forked.failures) == len(ordinary.failures)


@pytest.mark.parametrize("playbook", OUTCOMES, ids=lambda path: path.stem)
def test_both_engines_tell_the_same(engines: Engines, tmp_path: Path, playbook: Path) -> None:
    assert_same(engines, tmp_path, playbook)


@pytest.mark.exhaustive
@pytest.mark.parametrize("program", [version("ansible-core").rpartition(".")[0]], indirect=True, scope="module")
@pytest.mark.parametrize("playbook", PROJECTS_TOO, ids=lambda path: path.stem)
def test_both_engines_tell_the_same_of_the_projects(engines: Engines, tmp_path: Path, playbook: Path) -> None:
    assert_same(engines, tmp_path, playbook)
