"""Both engines tell the same of a run: every event, result and exit code of a corpus of playbooks, but ids and times.

Once for each supported ansible-core that is installed here (``tests.support.cores``).
"""

from __future__ import annotations

import asyncio
import difflib
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.job import Job, RunResult
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from tests.support.cores import EACH, NoInterpreterError, ansible_playbook
from tests.support.jobs import PROJECTS, make_job
from tests.support.paths import TESTDATA

pytestmark = pytest.mark.timeout(300)

CORPUS = TESTDATA / "corpus"
ELSEWHERE = {
    *("command_line.yml", "holds_terminal.yml", "leaves.yml", "leaves_async.yml", "meet.yml", "remembers.yml"),
    "sleeps.yml",
}
"""Projects of which no two runs are the same, or that need another to run at the time; other tests run them."""

OUTCOMES = sorted(CORPUS.glob("*.yml"))
PROJECTS_TOO = sorted(set(PROJECTS.glob("*.yml")) - {PROJECTS / name for name in ELSEWHERE})
OTHER_PYTHON = shutil.which("python3", path="/usr/bin") or sys.executable

MASKED = [
    # A traceback's line in a payload's file has its source, one in a payload that came by standard input has none.
    (
        r'File (\\+)"[^"\\]*AnsiballZ_\w+\.py\1", (line \d+, in [\w<>]+)(\\+n)(?:    [^\\]*\3)*',
        r'File \1"PAYLOAD\1", \2\3',
    ),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", "TIME"),
    (r"\d:\d\d:\d\d\.\d+|(?<=Paused for )[\d.]+(?= seconds)", "DURATION"),
    (r"ansible-tmp-[\d.-]+|ansible-local-\w+|ansible_[\w.]+_payload_\w+|ansible-moduletmp-[\w.-]+", "TEMPORARY"),
    (rf"{re.escape(tempfile.gettempdir())}/reconcile-runner-\w+(/tmp)?/\d+/", "TMPDIR/"),
    (r"AnsiballZ_\w+\.py|<stdin>", "PAYLOAD"),
    (r"\bj\d+\.\d+\b", "ASYNC"),
    (r'(\\?)"(inode|atime|mtime|ctime|birthtime|dev|version|pid)\1": ?(\d[\d.]*|\\?"\d+\\?")', r'\1"\2\1": 0'),
    (r'(\\?)"(src|_original_basename)\1": \1"[^"\\]*\1"', r'\1"src\1": \1"SOURCE\1"'),
]


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
    files = (job.private_data_dir / "artifacts" / job.ident / "job_events").glob("*.json")
    events = sorted((json.loads(path.read_bytes()) for path in files), key=lambda event: int(event["counter"]))
    return result, [masked(event, root, job) for event in events]


def masked(event: dict[str, Any], root: Path, job: Job) -> dict[str, Any]:
    for name in ("pid", "runner_ident", "created"):
        event.pop(name, None)
    event.get("event_data", {}).pop("pid", None)
    event.get("event_data", {}).pop("duration", None)
    text = json.dumps(event, sort_keys=True, ensure_ascii=False)
    text = text.replace(str(root), "ROOT").replace(f"artifacts/{job.ident}/", "artifacts/IDENT/")
    for pattern, word in MASKED:
        text = re.sub(pattern, word, text)
    decoded: dict[str, Any] = json.loads(text)
    return decoded


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


@pytest.mark.parametrize("program", [version("ansible-core").rpartition(".")[0]], indirect=True, scope="module")
@pytest.mark.parametrize("playbook", PROJECTS_TOO, ids=lambda path: path.stem)
def test_both_engines_tell_the_same_of_the_projects(engines: Engines, tmp_path: Path, playbook: Path) -> None:
    assert_same(engines, tmp_path, playbook)
