from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconcile_runner.execution.job import RunResult, RunStats, RunStatus, TaskFailure
from reconcile_runner.execution.jobevent import parse_event
from reconcile_runner.execution.launcherclient import LauncherReport
from reconcile_runner.execution.result import ResultBuilder
from tests.support.paths import EVENTS
from tests.unit.execution.test_jobevent import recorded

CORES = sorted(path.name for path in EVENTS.iterdir())
PLACE = "/project/tests/testdata/projects"
CENSORED = "the output has been hidden due to the fact that 'no_log: true' was specified for this result"


def folded(events: list[dict[str, Any]]) -> ResultBuilder:
    fold = ResultBuilder()
    for event in events:
        fold.add(parse_event(event))
    return fold


def result_of(core: str, project: str, rc: int | None) -> RunResult:
    return folded(recorded(f"{core}/{project}.jsonl")).finished(LauncherReport("ignored", rc), 1.5)


def test_events_of_every_supported_core_were_recorded() -> None:
    assert CORES == ["2.16", "2.17", "2.18", "2.19", "2.20", "2.21"]


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize(
    ("project", "stats", "failures"),
    [
        ("failed", RunStats(ok=1, failures=1), [("Give up", "there is no friend", 8)]),
        ("always_fails", RunStats(failures=2), [("Break", "broken", 7), ("Tidy up in vain", "not tidy", 11)]),
        ("ignored_then_failed", RunStats(ok=2, failures=1), [("Break for good", "final", 18)]),
        ("loop_fails", RunStats(failures=1), [("Count", "One or more items failed: no one; no three", 5)]),
        ("no_log", RunStats(ok=2, failures=1), [("Hide", CENSORED, 16)]),
    ],
)
def test_what_failed_and_was_not_rescued_is_told(
    core: str, project: str, stats: RunStats, failures: list[tuple[str, str, int]]
) -> None:
    result = result_of(core, project, rc=2)
    assert result.status is RunStatus.FAILED
    assert result.stats == stats
    assert [(each.task, each.message, each.path) for each in result.failures] == [
        (task, message, f"{PLACE}/{project}.yml:{line}") for task, message, line in failures
    ]
    assert result.message == "\n".join(
        f"{task} ({PLACE}/{project}.yml:{line}): {message}" for task, message, line in failures
    )
    assert result.duration == 1.5


@pytest.mark.parametrize("core", CORES)
def test_a_command_that_fails_is_told_with_what_it_said(core: str) -> None:
    (failure,) = result_of(core, "command_fails", rc=2).failures
    assert failure.message.endswith(
        "non-zero return code: ls: cannot access '/no/such/place': No such file or directory"
    )


@pytest.mark.parametrize("core", CORES)
def test_a_rescued_failure_is_none(core: str) -> None:
    result = result_of(core, "rescued", rc=0)
    assert result == RunResult(RunStatus.SUCCESSFUL, RunStats(ok=1), duration=1.5)


@pytest.mark.parametrize("core", CORES)
def test_an_unreachable_host_counts_as_a_failure(core: str) -> None:
    result = result_of(core, "unreachable", rc=4)
    assert result.stats == RunStats(failures=1)
    assert [each.task for each in result.failures] == ["Knock"]
    assert "Connection refused" in result.message


@pytest.mark.parametrize("core", CORES)
def test_without_statistics_ansibles_own_words_are_told(core: str) -> None:
    result = result_of(core, "missing_role", rc=1)
    assert result.status is RunStatus.FAILED
    assert result.stats is None
    assert "the role 'no_such_role' was not found in" in result.message.lower()
    assert result.message.endswith(f"({PLACE}/missing_role.yml:5:7)")


@pytest.mark.parametrize("core", CORES)
def test_a_role_that_asks_for_another_run_gets_it_after_its_end(core: str) -> None:
    result = result_of(core, "requeue", rc=0)
    assert (result.status, result.requeue_after) == (RunStatus.SUCCESSFUL, 90.0)


def task_ok(action: str, period: object) -> dict[str, Any]:
    return {"event": "runner_on_ok", "event_data": {"task_action": action, "res": {"period": period}}}


@pytest.mark.parametrize(
    ("events", "seconds"),
    [
        ([task_ok("operator_sdk.util.requeue_after", "1h")], 3600.0),
        ([task_ok("reconcile_runner.util.requeue_after", "5s")], 5.0),
        ([task_ok("requeue_after", "5s"), task_ok("requeue_after", "1s")], 5.0),
        ([task_ok("ansible.builtin.debug", "5s")], None),
        ([task_ok("requeue_after", "soon")], None),
        ([task_ok("requeue_after", 5)], None),
    ],
    ids=str,
)
def test_only_a_requeue_task_with_a_go_duration_asks_for_another_run(
    events: list[dict[str, Any]], seconds: float | None
) -> None:
    assert folded(events).finished(LauncherReport("", 0), 0.0).requeue_after == seconds


STATS = {"event": "playbook_on_stats", "event_data": {"ok": {"localhost": 3, "other": 9}, "failures": {"other": 1}}}


def failed(host: str, task: str, **more: Any) -> dict[str, Any]:
    return {"event": "runner_on_failed", "event_data": {"host": host, "task": task, "res": {"msg": task}, **more}}


def test_counts_are_localhosts_and_failures_are_everybodys() -> None:
    events = [failed("localhost", "rescued here"), failed("other", "rescued"), failed("other", "last"), STATS]
    result = folded(events).finished(LauncherReport("", 2), 0.0)
    assert result.stats == RunStats(ok=3, failures=1)
    assert [(each.task, each.host) for each in result.failures] == [("last", "other")]
    assert result.message == "last (host other): last"


def test_a_host_that_is_unreachable_counts_as_a_failure_whichever_it_is() -> None:
    gone = {**failed("db", "knock"), "event": "runner_on_unreachable"}
    stats = {"event": "playbook_on_stats", "event_data": {"dark": {"db": 1}, "ok": {"localhost": 2}}}
    result = folded([gone, stats]).finished(LauncherReport("", 4), 0.0)
    assert result.stats == RunStats(ok=2, failures=1)
    assert result.message == "knock (host db): knock"


PLAY = {"event": "playbook_on_play_start", "event_data": {"play": "Tune", "pattern": "db", "playbook": "/p.yml"}}
UNMATCHED = {"event": "playbook_on_no_hosts_matched", "event_data": {}}


def stats_of(**processed: int) -> dict[str, Any]:
    return {"event": "playbook_on_stats", "event_data": {"processed": processed, "ok": processed}}


def test_a_run_in_which_no_play_found_a_host_has_not_succeeded() -> None:
    result = folded([PLAY, UNMATCHED, stats_of()]).finished(LauncherReport("successful", 0), 0.0)
    assert result.status is RunStatus.FAILED
    assert result.message == "nothing was run: no host matches the play 'Tune' (hosts: db) of /p.yml"
    assert not result.has_begun


def test_a_run_in_which_another_play_found_one_has() -> None:
    result = folded([PLAY, UNMATCHED, PLAY, stats_of(localhost=1)]).finished(LauncherReport("successful", 0), 0.0)
    assert result.succeeded


def test_an_empty_play_has_succeeded() -> None:
    assert folded([PLAY, stats_of()]).finished(LauncherReport("successful", 0), 0.0).succeeded


def test_a_run_has_begun_with_its_first_task() -> None:
    start = {"event": "playbook_on_task_start", "event_data": {"task": "Look"}}
    assert not folded([PLAY]).finished(LauncherReport("failed", 1), 0.0).has_begun
    assert folded([PLAY, start]).finished(LauncherReport("failed", 1), 0.0).has_begun


@pytest.mark.parametrize("action", ["operator_sdk.util.k8s_status", "reconcile_runner.util.k8s_status", "k8s_status"])
def test_a_status_that_was_not_written_is_told_where_the_failure_is_ignored(action: str) -> None:
    ignored = failed("localhost", "Say it", task_action=action, task_path="/r.yml:2", ignore_errors=True)
    other = failed("localhost", "Try", task_action="ansible.builtin.fail", ignore_errors=True)
    result = folded([ignored, other, stats_of(localhost=1)]).finished(LauncherReport("", 0), 0.0)
    assert result.succeeded
    assert result.lost_statuses == (TaskFailure("Say it", "Say it", "/r.yml:2"),)


def test_a_playbook_that_played_nothing_failed() -> None:
    result = folded([]).finished(LauncherReport("successful", 0), 0.0)
    assert result.status is RunStatus.FAILED
    assert "playbook_on_stats" in result.message


def test_a_killed_playbook_is_told_with_the_task_it_was_in() -> None:
    start = {"event": "playbook_on_task_start", "event_data": {"task": "Wait", "task_path": "/p.yml:3"}}
    result = folded([start]).finished(LauncherReport("failed", None), 0.0)
    assert result.message == "ansible-playbook was killed, in the task 'Wait' (/p.yml:3)"


def test_a_callback_that_is_not_there_is_named_with_its_variable() -> None:
    line = "    class CallbackModule(DefaultCallbackModule):\nTypeError: NoneType takes no arguments"
    builder = folded([{"event": "verbose", "stdout": line}])
    message = builder.finished(LauncherReport("failed", 250, "no.such.one"), 0.0).message
    assert message == "ANSIBLE_STDOUT_CALLBACK: found 'no.such.one', expected a callback that is installed"


def test_an_exit_without_a_word_is_told_with_its_code() -> None:
    assert "exit code 3" in folded([]).finished(LauncherReport("failed", 3), 0.0).message


def test_a_timeout_is_told_with_its_limit() -> None:
    start = {"event": "playbook_on_task_start", "event_data": {"task": "Wait"}}
    result = folded([start, failed("localhost", "maybe rescued")]).timed_out(90.0, 90.2)
    assert result.status is RunStatus.TIMED_OUT
    assert result.message == "ended because it took longer than the limit of 90 seconds, in the task 'Wait'"
    assert result.failures == ()


def test_what_is_kept_of_a_long_run_is_bounded() -> None:
    fold = folded([failed("localhost", f"task {number}") for number in range(10_000)])
    for _ in range(10_000):
        fold.add(parse_event({"event": "verbose", "stdout": "line"}))
    assert len(fold._failures) <= 50
    assert len(fold._lines) <= 200


def test_recordings_hold_nothing_of_the_machine_they_were_made_on() -> None:
    for path in EVENTS.glob("*/*.jsonl"):
        assert str(Path.home()) not in path.read_text(encoding="utf-8")
