"""Why a run failed: whatever the shape of the result, the message names the task, its place and the reason.

Under both engines, which have to say the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reconcile_runner.execution import failuretext
from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.job import RunResult, RunStatus, TaskFailure
from reconcile_runner.execution.jobevent import EventKind, JobEvent
from reconcile_runner.execution.launcherclient import LauncherReport
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from reconcile_runner.execution.result import ResultBuilder
from tests.support import cores
from tests.support.jobs import make_job
from tests.support.paths import TESTDATA

pytestmark = pytest.mark.timeout(300)

FAILURES = TESTDATA / "failures"
SECRET = "canary-7f3a"
HIDDEN = "'no_log: true' was specified for this result"

# What ansible-core 2.19 has given other words, and another column.
BAD_YAML, BAD_COLUMN, ONE_SECOND = (
    ("We were unable to read either as JSON nor YAML", 33, "expected time frame (1)")
    if cores.IS_BEFORE_219
    else ("YAML parsing failed", 24, "1 second")
)

SHAPES = {
    "a text": "no friend",
    "a mapping": '"why": "no friend"',
    "a list": '["no", "friend"]',
    "a number": "42",
    "an empty text": "no friend",
    "null": "no friend",
    "no message": '"url": "no friend"',
    "nothing at all": "nknown ",
    "a large result": "no friend",
    "a large result without a message": "no friend",
    "a large message": "no friend",
    "a large result of a loop": "no friend 310000",
    "a crash": "no friend",
    "no result": "no friend",
    "a command": "/no/friend",
    "a condition": "no friend",
    "a program that is missing": "/no/friend",
    "an undefined variable": "'friend' is undefined",
    "an undefined variable in a condition": "'friend' is undefined",
    "a template that is none": "no_such_filter",
    "a template file that is missing": "friend.j2",
    "an undefined variable in a role's vars": "'friend' is undefined",
    "one item of three": "no friend 2",
    "an assertion": "no friend",
    "an assertion with a list": '["no", "friend"]',
    "an assertion without a message": "'friend' == 'foe'",
    "an asynchronous one": "no friend",
    "a timeout": ONE_SECOND,
    "retries": "no friend",
    "variables that are missing": "friend.yml",
    "variables that are encrypted": "vault",
    "an unreachable host": "port 1",
    "a wrong argument": "friend",
    **dict.fromkeys(
        [
            "hidden",
            "hidden, and large",
            "hidden in a loop",
            "hidden, and a template that is none",
            "hidden, and a crash",
            "hidden, and a command",
        ],
        HIDDEN,
    ),
}
"""What each task's message holds, by the task's name."""

BROKEN = {
    "import_playbook.yml": ("Could not find or access", "broken/friend.yml"),
    "import_tasks.yml": ("Could not find or access", "broken/friend.yml"),
    "syntax_in_role.yml": (BAD_YAML, f"roles/syntax/tasks/main.yml:2:{BAD_COLUMN}"),
    "unknown_in_role.yml": ("no.such.friend", "roles/unknown/tasks/main.yml:1:3"),
    "encrypted_vars.yml": ("no vault secrets", "encrypted.yml"),
    "no_hosts.yml": ("nothing was run", "'Tune the databases' (hosts: databases)", "no_hosts.yml"),
    "empty.yml": ("empty.yml",),
    "friend.yml": ("friend.yml could not be found",),
}
"""Playbooks of which no task is ever started, with what the message holds."""

LATER = {
    "fatal.yml": ("Fail ({place}/fatal.yml:8): no friend",),
    "handler.yml": ("handler 'no friend' was not found", "in the task 'Notify' ({place}/handler.yml:5)"),
    "tasks.yml": ("Look for a friend ({place}/tasks.yml:7): ", "{place}/friend.yml"),
    "tasks_syntax.yml": (BAD_YAML, f"included/syntax.yml:2:{BAD_COLUMN}", "({place}/tasks_syntax.yml:7)"),
    "tasks_module.yml": ("no.such.friend", "included/unknown.yml:1:3", "({place}/tasks_module.yml:7)"),
    "role.yml": ("Look for a friend ({place}/role.yml:7): ", "the role 'friend' was not found"),
    "role_syntax.yml": (BAD_YAML, f"syntax/tasks/main.yml:2:{BAD_COLUMN}", "({place}/role_syntax.yml:7)"),
    "role_module.yml": ("no.such.friend", "unknown/tasks/main.yml:1:3", "({place}/role_module.yml:7)"),
}
"""Playbooks that fail after their first task, with what the message holds."""


@dataclass(frozen=True)
class Engines:
    """Both engines, and the loop that they live on from test to test."""

    all: dict[str, Engine]
    loop: asyncio.Runner

    def run(self, name: str, root: Path, playbook: str) -> tuple[RunResult, list[JobEvent]]:
        events: list[JobEvent] = []
        job = make_job(root, str(FAILURES / playbook), {"secret": SECRET}, timeout=None)
        result = self.loop.run(self.all[name].run(job, events.append))
        left = [path.read_bytes() for path in (job.private_data_dir / "artifacts").rglob("*") if path.is_file()]
        assert not [content for content in left if SECRET.encode() in content]
        return result, events


@pytest.fixture(scope="module")
def engines() -> Iterator[Engines]:
    with asyncio.Runner() as loop:
        both = Engines({"subprocess": SubprocessEngine(), "forkserver": ForkserverEngine()}, loop)
        for engine in both.all.values():
            loop.run(engine.start())
        yield both
        for engine in both.all.values():
            loop.run(engine.stop())


@pytest.fixture(params=["subprocess", "forkserver"])
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


def failures_of(events: list[JobEvent]) -> tuple[TaskFailure, ...]:
    """Return each failed task as the result of a run tells it, also where it was ignored or rescued."""
    builder = ResultBuilder()
    for event in events:
        if event.kind is not EventKind.PLAYBOOK_ON_STATS:
            builder.add(replace(event, ignore_errors=False))
    return builder.finished(LauncherReport("failed", 2), 0.0).failures


@pytest.mark.exhaustive
def test_every_failed_task_is_told_with_its_place_and_its_reason(engines: Engines, tmp_path: Path, name: str) -> None:
    result, events = engines.run(name, tmp_path, "shapes.yml")
    failures = {failure.task: failure for failure in failures_of(events)}
    assert set(SHAPES) - set(failures) == set()
    wrong = {task: failures[task].message for task, words in SHAPES.items() if words not in failures[task].message}
    assert wrong == {}
    assert [failure for failure in failures.values() if ".yml:" not in failure.path] == []
    assert max(len(failure.message) for failure in failures.values()) <= failuretext.MESSAGE_LIMIT
    assert SECRET not in repr((result, failures))
    assert result.succeeded, "they were ignored, so the run has not failed"


@pytest.mark.parametrize("playbook", BROKEN)
def test_what_ends_a_run_before_its_first_task_is_told_with_its_place(
    engines: Engines, tmp_path: Path, name: str, playbook: str
) -> None:
    result, _ = engines.run(name, tmp_path, f"broken/{playbook}")
    assert result.status is RunStatus.FAILED
    assert [words for words in BROKEN[playbook] if words not in result.message] == [], result.message
    assert len(result.message) <= failuretext.MESSAGE_LIMIT
    assert "Traceback" not in result.message
    assert not result.has_begun


@pytest.mark.parametrize("playbook", LATER)
def test_what_ends_a_run_later_is_told_with_its_task_and_its_place(
    engines: Engines, tmp_path: Path, name: str, playbook: str
) -> None:
    result, _ = engines.run(name, tmp_path, f"later/{playbook}")
    assert result.status is RunStatus.FAILED
    expected = [words.format(place=FAILURES / "later") for words in LATER[playbook]]
    assert [words for words in expected if words not in result.message] == [], result.message
    assert len(result.message) <= 2 * failuretext.MESSAGE_LIMIT
    assert result.has_begun
