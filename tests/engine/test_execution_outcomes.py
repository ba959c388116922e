"""How runs end: real playbooks through the real engine, each with the result that its author would expect."""

from __future__ import annotations

import re
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from reconcile_runner.errors import ConfigError
from reconcile_runner.execution.job import RunStats, RunStatus
from reconcile_runner.execution.jobevent import EventKind, JobEvent
from reconcile_runner.execution.pool import SubprocessEngine
from tests.support import cores
from tests.support.jobs import PROJECTS, make_job


@pytest.fixture
async def engine() -> AsyncIterator[SubprocessEngine]:
    engine = SubprocessEngine()
    await engine.start()
    yield engine
    await engine.stop()


def ignore(_event: JobEvent) -> None:
    pass


@dataclass(frozen=True)
class Case:
    """A project and its outcome: counts, tasks that failed, and what the message is (with ``{projects}``)."""

    project: str
    status: RunStatus
    stats: RunStats | None
    failed: tuple[str, ...] = ()
    message: str = ""


OK, FAILED = RunStatus.SUCCESSFUL, RunStatus.FAILED
CASES = [
    Case("ok.yml", OK, RunStats(ok=1, skipped=1)),
    Case("changed.yml", OK, RunStats(ok=2, changed=1)),
    Case(
        "failed.yml",
        FAILED,
        RunStats(ok=1, failures=1),
        ("Give up",),
        "Give up ({projects}/failed.yml:8): there is no friend",
    ),
    Case("rescued.yml", OK, RunStats(ok=1)),
    Case(
        "rescue_fails.yml",
        FAILED,
        RunStats(ok=1, failures=1),
        ("Fail to mend",),
        "Fail to mend ({projects}/rescue_fails.yml:11): not mended",
    ),
    Case(
        "always_fails.yml",
        FAILED,
        RunStats(failures=2),
        ("Break", "Tidy up in vain"),
        "Break ({projects}/always_fails.yml:7): broken\nTidy up in vain ({projects}/always_fails.yml:11): not tidy",
    ),
    Case("ignored.yml", OK, RunStats(ok=1)),
    Case(
        "ignored_then_failed.yml",
        FAILED,
        RunStats(ok=2, failures=1),
        ("Break for good",),
        "Break for good ({projects}/ignored_then_failed.yml:18): final",
    ),
    Case(
        "loop_fails.yml",
        FAILED,
        RunStats(failures=1),
        ("Count",),
        "Count ({projects}/loop_fails.yml:5): One or more items failed: no one; no three",
    ),
    Case(
        "module_crashes.yml",
        FAILED,
        RunStats(failures=1),
        ("Crash",),
        "Crash ({projects}/module_crashes.yml:5): Module result deserialization failed: No start of json char found:"
        " the module's last words",
    ),
    Case(
        "undefined.yml",
        FAILED,
        RunStats(failures=1),
        ("Print it",),
        "Print it ({projects}/undefined.yml:5): Task failed: Finalization of task args for 'ansible.builtin.debug'"
        " failed: Error while resolving"
        " value for 'msg': 'nobody_set_me' is undefined",
    ),
    Case(
        "no_hosts.yml",
        FAILED,
        RunStats(),
        message="nothing was run: no host matches the play 'Run for nobody' (hosts: nobody) of {projects}/no_hosts.yml",
    ),
    Case("prompts.yml", OK, RunStats(ok=3)),
    Case("roles/greets", OK, RunStats(ok=1)),
    Case(
        "roles/fails",
        FAILED,
        RunStats(ok=2, failures=1),
        ("Give up",),
        "Give up ({projects}/roles/fails/tasks/main.yml:4): no friend here",
    ),
]


BAD_YAML = "We were unable to read either as JSON nor YAML" if cores.IS_BEFORE_219 else "YAML parsing failed"
IN_OLDER_WORDS = {
    "module_crashes.yml": r"Crash \({place}:5\): MODULE FAILURE(: No start of json char found)?\n"
    r"See stdout/stderr for the exact error: the module's last words",
    "undefined.yml": r"Print it \({place}:5\): The task includes an option with an undefined variable\."
    r"(\.| The error was: 'nobody_set_me' is undefined\.)? 'nobody_set_me' is undefined \({place}:5:7\)",
}
"""Patterns of messages before ansible-core 2.19."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.project)
async def test_a_run_ends_as_its_author_would_expect(engine: SubprocessEngine, tmp_path: Path, case: Case) -> None:
    result = await engine.run(make_job(tmp_path, case.project), ignore)
    assert result.status is case.status, result.message
    assert result.stats == case.stats
    assert tuple(failure.task for failure in result.failures) == case.failed
    older = IN_OLDER_WORDS.get(case.project) if cores.IS_BEFORE_219 else None
    if older:
        assert re.fullmatch(older.format(place=re.escape(str(PROJECTS / case.project))), result.message)
    else:
        assert result.message == case.message.format(projects=PROJECTS)
    assert result.duration > 0


@pytest.mark.parametrize("project", ["missing_tasks.yml", "missing_vars.yml"])
async def test_a_missing_include_is_named_with_its_task(engine: SubprocessEngine, tmp_path: Path, project: str) -> None:
    result = await engine.run(make_job(tmp_path, project), ignore)
    assert result.message.startswith(f"Include what is not there ({PROJECTS / project}:5): ")
    assert "nope.yml" in result.message
    assert result.failures[0].path.endswith(f"{project}:5")


BROKEN = {
    "invalid_yaml.yml": (BAD_YAML, "invalid_yaml.yml:7:1"),
    "invalid_task.yml": ("conflicting action statements", "invalid_task.yml:5:7"),
    "unknown_module.yml": ("couldn't resolve module/action 'no_such_module'", "unknown_module.yml:5:7"),
    "missing_role.yml": ("he role 'no_such_role' was not found", "missing_role.yml:5:7"),
    "no_such_playbook.yml": ("the playbook: ", "no_such_playbook.yml could not be found"),
}


@pytest.mark.parametrize("project", BROKEN)
async def test_what_cannot_be_played_fails_with_ansibles_own_words_and_the_place(
    engine: SubprocessEngine, tmp_path: Path, project: str
) -> None:
    result = await engine.run(make_job(tmp_path, project), ignore)
    assert result.status is FAILED
    assert result.stats is None
    for words in BROKEN[project]:
        assert words in result.message
    assert "\x1b" not in result.message
    assert len(result.message) <= 1024


async def test_nobody_is_asked_at_the_terminal_either(engine: SubprocessEngine, tmp_path: Path) -> None:
    events: list[JobEvent] = []
    result = await engine.run(make_job(tmp_path, "terminal.yml"), events.append)
    assert result.succeeded, result.message
    [said] = [str(event.res["msg"]) for event in events if event.res and event.task.startswith("Say")]
    assert said.count("cat: /dev/tty: No such device or address") == 2, "in a module and in a lookup"


async def test_a_password_that_somebody_should_type_is_a_failure(engine: SubprocessEngine, tmp_path: Path) -> None:
    result = await engine.run(make_job(tmp_path, "ok.yml", cmdline="--ask-vault-pass", timeout=30), ignore)
    assert result.status is FAILED
    assert "prompt" in result.message


async def test_an_option_that_ansible_does_not_know_is_named(engine: SubprocessEngine, tmp_path: Path) -> None:
    result = await engine.run(make_job(tmp_path, "ok.yml", cmdline="--no-such-option"), ignore)
    assert "unrecognized arguments: --no-such-option" in result.message


async def test_a_run_that_plays_nothing_is_a_failure(engine: SubprocessEngine, tmp_path: Path) -> None:
    result = await engine.run(make_job(tmp_path, "ok.yml", cmdline="--list-tasks"), ignore)
    assert result.status is FAILED
    assert "playbook_on_stats" in result.message


async def test_a_command_that_fails_is_told_with_what_it_said(engine: SubprocessEngine, tmp_path: Path) -> None:
    result = await engine.run(make_job(tmp_path, "command_fails.yml"), ignore)
    assert result.message.startswith(f"List what is not there ({PROJECTS}/command_fails.yml:5): ")
    assert result.message.endswith(
        "non-zero return code: ls: cannot access '/no/such/place': No such file or directory"
    )


async def test_an_unreachable_host_is_a_failure(engine: SubprocessEngine, tmp_path: Path) -> None:
    result = await engine.run(make_job(tmp_path, "unreachable.yml"), ignore)
    assert result.stats == RunStats(failures=1)
    assert [failure.task for failure in result.failures] == ["Knock"]
    assert "Failed to connect to the host" in result.message


async def test_what_no_log_hides_stays_hidden(engine: SubprocessEngine, tmp_path: Path) -> None:
    events: list[JobEvent] = []
    job = make_job(tmp_path, "no_log.yml", {"secret": "hunter2"})
    result = await engine.run(job, events.append)
    assert "no_log: true" in result.message
    assert "hunter2" not in repr(result) + repr(events)
    artifacts = [path for path in (job.private_data_dir / "artifacts").rglob("*") if path.is_file()]
    assert [path for path in artifacts if b"hunter2" in path.read_bytes()] == []
    # Before ansible-core 2.19 the result of a loop is shown, too.
    shown = 5 if cores.IS_BEFORE_219 else 4
    assert sum("censored" in event.stdout for event in events) == shown, "the results themselves are still shown"


async def test_an_ansible_playbook_that_is_killed_is_a_failure_that_names_the_task(
    engine: SubprocessEngine, tmp_path: Path
) -> None:
    result = await engine.run(make_job(tmp_path, "killed.yml"), ignore)
    assert result.status is FAILED
    assert result.message.startswith("ansible-playbook was killed, in the task 'Kill it' (")


@pytest.mark.exhaustive
async def test_ten_megabytes_pass(engine: SubprocessEngine, tmp_path: Path) -> None:
    events: list[JobEvent] = []
    result = await engine.run(make_job(tmp_path, "big.yml"), events.append)
    assert result.succeeded
    assert max(len(event.stdout) for event in events) > 10 * 1024 * 1024


async def test_any_text_passes(engine: SubprocessEngine, tmp_path: Path) -> None:
    text = "gruß, 世界, \U0001f600, \x85 \u2028 \x7f \\ \" '"
    result = await engine.run(make_job(tmp_path, "unicode.yml", {"text": text}), ignore)
    assert [(failure.task, failure.message) for failure in result.failures] == [("Grüße 世界", text)]


async def test_a_role_that_asks_for_another_run_is_played_to_its_end(engine: SubprocessEngine, tmp_path: Path) -> None:
    result = await engine.run(make_job(tmp_path, "requeue.yml"), ignore)
    assert result.succeeded
    assert result.stats == RunStats(ok=2)
    assert result.requeue_after == 90.0


async def test_facts_are_gathered_for_a_role_when_the_job_says_so(engine: SubprocessEngine, tmp_path: Path) -> None:
    tasks = []

    def note(event: JobEvent) -> None:
        if event.kind is EventKind.PLAYBOOK_ON_TASK_START:
            tasks.append(event.task)

    await engine.run(make_job(tmp_path, "roles/greets", gather_facts=True), note)
    assert tasks == ["Gathering Facts", "Greet"]


async def test_nothing_of_an_earlier_run_is_left_in_the_next(engine: SubprocessEngine, tmp_path: Path) -> None:
    seen = tmp_path / "seen.json"
    own = {"seen": str(seen)}
    first = make_job(tmp_path, "remembers.yml", {**own, "first": "1", "second": "1"}, env={"FROM_RUN": "1"})
    await engine.run(first, ignore)
    assert orjson.loads(seen.read_bytes()) == {"first": "1", "second": "1", "env": "1"}
    second = make_job(tmp_path, "remembers.yml", {**own, "second": "2"})
    await engine.run(second, ignore)
    assert orjson.loads(seen.read_bytes()) == {"first": "unset", "second": "2", "env": "unset"}


async def test_no_variable_shows_on_a_command_line(engine: SubprocessEngine, tmp_path: Path) -> None:
    seen = tmp_path / "command-lines"
    for _ in range(2):
        job = make_job(tmp_path, "command_line.yml", {"seen": str(seen), "secret": "canary-in-ps"})
        result = await engine.run(job, ignore)
        assert result.succeeded, result.message
        assert "ansible-playbook" in seen.read_text(encoding="utf-8")
        assert "canary-in-ps" not in seen.read_text(encoding="utf-8")


async def test_all_that_a_run_leaves_is_private(engine: SubprocessEngine, tmp_path: Path) -> None:
    root = tmp_path / "root"
    await engine.run(make_job(root, "roles/fails"), ignore)
    left = [path for path in root.rglob("*") if not path.is_symlink()]
    assert any(path.name == "stdout" for path in left)
    wrong = {path: oct(path.stat().st_mode) for path in left if stat.S_IMODE(path.stat().st_mode) & 0o077}
    assert wrong == {}


@pytest.mark.parametrize("kept", [1, 2, 3])
async def test_the_newest_artifacts_are_kept(engine: SubprocessEngine, tmp_path: Path, kept: int) -> None:
    jobs = []
    for _ in range(4):
        job = make_job(tmp_path, "ok.yml", max_artifacts=kept)
        assert (await engine.run(job, ignore)).succeeded
        jobs.append(job)
    artifacts = jobs[-1].private_data_dir / "artifacts"
    assert {path.name for path in artifacts.iterdir()} == {"latest", *(job.ident for job in jobs[-kept:])}
    assert (artifacts / "latest").resolve().name == jobs[-1].ident


async def test_a_missing_ansible_playbook_is_said_at_the_start(tmp_path: Path) -> None:
    engine = SubprocessEngine(tmp_path / "ansible-playbook")
    with pytest.raises(ConfigError, match="was not found"):
        await engine.start()
    await engine.stop()


def test_every_project_is_used() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [path.name for path in PROJECTS.glob("*.yml") if path.name not in tests] == []
