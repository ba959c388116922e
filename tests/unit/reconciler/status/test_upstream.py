"""``upstreamStatus: true``: what ansible-operator 1.42 writes at each moment of a run (its ``controller/status``)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.execution.job import RunResult, RunStats, RunStatus, TaskFailure
from reconcile_runner.reconciler.status import StatusUpdate, upstream

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
EARLIER = "2026-01-01T00:00:00Z"
SUCCESS = RunResult(RunStatus.SUCCESSFUL, RunStats(ok=3, changed=1, skipped=2))
FAILURE = RunResult(
    RunStatus.FAILED,
    RunStats(ok=1, failures=1),
    (TaskFailure("first", "no disk"), TaskFailure("second", "no network")),
    "first: no disk\nsecond: no network",
)
OWN = {"type": "Happy", "status": "True", "observedGeneration": 4, "lastHeartbeatTime": EARLIER}


def after(update: StatusUpdate, obj: KubeObject, now: datetime = NOW) -> KubeObject:
    return {**obj, "status": {**(obj.get("status") or {}), **update(obj, now)}}


def written(obj: KubeObject) -> list[tuple[str, str, str, str]]:
    return [
        tuple(each[name] for name in ("type", "status", "reason", "message")) for each in obj["status"]["conditions"]
    ]


def by_type(obj: KubeObject, wanted: str) -> dict[str, Any]:
    return next(condition for condition in obj["status"]["conditions"] if condition["type"] == wanted)


def test_the_first_run_is_announced_by_running_alone() -> None:
    assert written(after(upstream.running(1), {})) == [("Running", "True", "Running", "Running reconciliation")]


def test_success_writes_three_conditions_and_the_result_with_running() -> None:
    obj = after(upstream.succeeded(1, SUCCESS), after(upstream.running(1), {}))
    assert written(obj) == [
        ("Running", "True", "Successful", "Awaiting next reconciliation"),
        ("Successful", "True", "Successful", "Last reconciliation succeeded"),
        ("Failure", "False", "", ""),
    ]
    assert by_type(obj, "Running")["ansibleResult"] == {
        "ok": 3,
        "changed": 1,
        "skipped": 2,
        "failures": 0,
        "completion": "2026-01-02T03:04:05.678000+00:00",
    }
    assert "ansibleResult" not in by_type(obj, "Successful")
    assert "observedGeneration" not in obj["status"]


def test_a_further_run_takes_success_back_and_keeps_its_words() -> None:
    once = after(upstream.succeeded(1, SUCCESS), after(upstream.running(1), {}))
    assert written(after(upstream.running(1), once)) == [
        ("Failure", "False", "", ""),
        ("Successful", "False", "Successful", "Last reconciliation succeeded"),
        ("Running", "True", "Running", "Running reconciliation"),
    ]


def test_failure_joins_the_messages_of_the_tasks_without_their_names() -> None:
    obj = after(upstream.failed(1, FAILURE.message, FAILURE), after(upstream.running(1), {}))
    assert written(obj) == [
        ("Running", "False", "Running", "Running reconciliation"),
        ("Failure", "True", "Failed", "no disk\nno network"),
        ("Successful", "False", "", ""),
    ]
    assert by_type(obj, "Failure")["ansibleResult"]["failures"] == 1


def test_a_run_that_ended_without_a_failed_task_says_why() -> None:
    killed = RunResult(RunStatus.TIMED_OUT, message="ended because it took too long")
    obj = after(upstream.failed(1, killed.message, killed), {})
    assert by_type(obj, "Failure")["message"] == "ended because it took too long"


def test_what_could_not_be_run_turns_off_what_is_there_and_adds_nothing_but_failure() -> None:
    assert written(after(upstream.failed(1, "bad annotation"), {})) == [("Failure", "True", "Failed", "bad annotation")]
    once = after(upstream.succeeded(1, SUCCESS), after(upstream.running(1), {}))
    assert written(after(upstream.failed(1, "bad annotation"), once)) == [
        ("Running", "False", "Successful", "Awaiting next reconciliation"),
        ("Successful", "False", "Successful", "Last reconciliation succeeded"),
        ("Failure", "True", "Failed", "bad annotation"),
    ]


def test_the_same_status_and_reason_are_not_written_again_but_for_failure() -> None:
    once = after(upstream.failed(1, "old", None), {})
    later = after(upstream.failed(1, "new", None), once, NOW + timedelta(hours=1))
    assert by_type(later, "Failure")["message"] == "new"
    assert by_type(later, "Failure")["lastTransitionTime"] == "2026-01-02T03:04:05Z"
    announced = after(upstream.running(1), {})
    assert upstream.running(1)(announced, NOW + timedelta(hours=1)) == {}


def test_the_transition_time_moves_with_the_status() -> None:
    announced = after(upstream.running(1), {}, NOW)
    failed = after(upstream.failed(1, "m", FAILURE), announced, NOW + timedelta(hours=1))
    assert by_type(failed, "Running")["lastTransitionTime"] == "2026-01-02T04:04:05Z"


def test_conditions_of_others_keep_their_places_and_all_of_their_fields() -> None:
    obj = after(upstream.succeeded(1, SUCCESS), {"status": {"happy": True, "conditions": [OWN, "junk"]}})
    assert obj["status"]["conditions"][0] == OWN
    assert obj["status"]["happy"] is True
