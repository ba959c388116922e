"""Conditions: upstream's three and Ready, written only when they say something new."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.execution.job import RunResult, RunStats, RunStatus
from reconcile_runner.reconciler.status import StatusUpdate
from reconcile_runner.reconciler.status import conditions as status

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EARLIER = "2026-01-01T00:00:00Z"
SUCCESS = RunResult(RunStatus.SUCCESSFUL, RunStats(ok=3, changed=1))


def foo(status_fields: dict[str, Any] | None = None) -> KubeObject:
    obj: KubeObject = {"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 2}}
    if status_fields is not None:
        obj["status"] = status_fields
    return obj


def after(update: StatusUpdate, obj: KubeObject) -> KubeObject:
    """Apply an update as the API server would."""
    return {**obj, "status": {**(obj.get("status") or {}), **update(obj, NOW)}}


def conditions(obj: KubeObject) -> dict[str, dict[str, Any]]:
    return {condition["type"]: condition for condition in obj["status"]["conditions"]}


def test_success_writes_upstreams_conditions_and_ready() -> None:
    written = after(status.succeeded(2, SUCCESS), foo())
    got = conditions(written)
    assert written["status"]["observedGeneration"] == 2
    assert (got["Running"]["status"], got["Running"]["reason"]) == ("True", "Successful")
    assert got["Running"]["message"] == "Awaiting next reconciliation"
    assert {k: got["Running"]["ansibleResult"][k] for k in ("ok", "changed", "skipped", "failures")} == {
        "ok": 3,
        "changed": 1,
        "skipped": 0,
        "failures": 0,
    }
    assert (got["Successful"]["status"], got["Successful"]["message"]) == ("True", "Last reconciliation succeeded")
    assert (got["Failure"]["status"], got["Failure"]["reason"]) == ("False", "Successful")
    assert (got["Ready"]["status"], got["Ready"]["observedGeneration"]) == ("True", 2)


def test_a_second_success_writes_nothing() -> None:
    once = after(status.succeeded(2, SUCCESS), foo())
    assert status.succeeded(2, RunResult(RunStatus.SUCCESSFUL, RunStats(ok=9)))(once, NOW) == {}


def test_a_new_generation_is_written_even_when_nothing_else_changed() -> None:
    once = after(status.succeeded(2, SUCCESS), foo())
    changes = status.succeeded(3, SUCCESS)(once, NOW)
    assert changes["observedGeneration"] == 3
    assert conditions({"status": changes})["Ready"]["observedGeneration"] == 3


def test_failure_says_why_and_takes_ready_away() -> None:
    once = after(status.succeeded(2, SUCCESS), foo())
    got = conditions(after(status.failed(2, "task x: no", RunResult(RunStatus.FAILED, RunStats(failures=1))), once))
    assert (got["Failure"]["status"], got["Failure"]["reason"], got["Failure"]["message"]) == (
        "True",
        "Failed",
        "task x: no",
    )
    assert got["Failure"]["ansibleResult"]["failures"] == 1
    assert got["Running"]["status"] == got["Successful"]["status"] == got["Ready"]["status"] == "False"
    assert got["Running"]["reason"] == "Successful", "upstream keeps the reason of Running"


def test_the_transition_time_moves_only_with_the_status() -> None:
    since = {"type": "Failure", "status": "True", "reason": "Failed", "message": "old", "lastTransitionTime": EARLIER}
    got = conditions(after(status.failed(2, "new"), foo({"conditions": [since]})))
    assert got["Failure"]["lastTransitionTime"] == EARLIER
    assert got["Failure"]["message"] == "new"
    assert got["Ready"]["lastTransitionTime"] == "2026-01-02T03:04:05Z"


def test_foreign_conditions_and_fields_survive_in_their_places() -> None:
    foreign = {"type": "Happy", "status": "True", "lastHeartbeatTime": EARLIER, "custom": {"x": 1}}
    changes = status.succeeded(2, SUCCESS)(foo({"happy": True, "conditions": [foreign]}), NOW)
    assert changes["conditions"][0] == foreign
    assert "happy" not in changes


def test_a_ready_that_the_role_writes_is_left_alone() -> None:
    own = {"type": "Ready", "status": "False", "reason": "WaitingForDatabase", "message": "m"}
    got = conditions(after(status.succeeded(2, SUCCESS), foo({"conditions": [own]})))
    assert got["Ready"] == own


def test_running_takes_ready_away_only_for_a_new_generation() -> None:
    once = after(status.succeeded(2, SUCCESS), foo())
    assert "Ready" not in {c["type"] for c in status.running(2)(once, NOW)["conditions"] if c["status"] == "Unknown"}
    assert conditions(after(status.running(3), once))["Ready"]["status"] == "Unknown"


@pytest.mark.parametrize(
    ("pruned", "is_judged", "expected"),
    [
        ({"condition"}, False, "True"),
        ({"condition", "status"}, True, "True"),
        ({"condition", "status"}, False, "Unknown"),
        (set(), False, "True"),
    ],
    ids=["no generation in conditions", "none at all, but remembered", "none at all", "all"],
)
def test_a_periodic_run_leaves_ready_whatever_the_schema_keeps(
    pruned: set[str], is_judged: bool, expected: str
) -> None:
    once = after(status.succeeded(2, SUCCESS), foo())
    if "condition" in pruned:
        for condition in once["status"]["conditions"]:
            condition.pop("observedGeneration", None)
    if "status" in pruned:
        del once["status"]["observedGeneration"]
    assert conditions(after(status.running(2, is_judged=is_judged), once))["Ready"]["status"] == expected


@pytest.mark.parametrize("generations", [(2, 2), (2, 3)], ids=["same generation", "new generation"])
@pytest.mark.parametrize("moments", range(5))
def test_every_condition_at_every_moment_fits_the_schema_of_metav1(moments: int, generations: tuple[int, int]) -> None:
    first, second = generations
    failure = RunResult(RunStatus.FAILED, RunStats(failures=1))
    updates = [
        status.running(first),
        status.failed(first, "m" * 100_000, failure),
        status.running(second),
        status.succeeded(second, SUCCESS),
        status.failed(second, "", None, is_final=True),
    ]
    # An earlier version left empty reasons, which a schema that is stricter today would refuse.
    obj = foo({"conditions": [{"type": "Successful", "status": "False", "reason": "", "message": ""}]})
    for update in updates[: moments + 1]:
        obj = after(update, obj)
    for condition in obj["status"]["conditions"]:
        assert {"type", "status", "reason", "message", "lastTransitionTime"} <= condition.keys()
        assert re.fullmatch(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", condition["reason"]), condition
        assert condition["status"] in {"True", "False", "Unknown"}
        assert len(condition["message"]) <= 32768


def test_a_failure_that_is_not_tried_again_is_stalled_until_the_next_verdict() -> None:
    stalled = after(status.failed(2, "annotation x: 'soon'", is_final=True), foo())
    assert (conditions(stalled)["Stalled"]["status"], conditions(stalled)["Stalled"]["message"]) == (
        "True",
        "annotation x: 'soon'",
    )
    assert stalled["status"]["observedGeneration"] == 2
    for update in (status.succeeded(2, SUCCESS), status.failed(2, "no"), status.running(2)):
        assert "Stalled" not in conditions(after(update, stalled))


def test_a_stalled_that_a_role_writes_stays() -> None:
    own = {"type": "Stalled", "status": "True", "reason": "QuotaExceeded", "message": "m"}
    for update in (status.succeeded(2, SUCCESS), status.failed(2, "no"), status.failed(2, "no", is_final=True)):
        assert conditions(after(update, foo({"conditions": [own]})))["Stalled"] == own


@pytest.mark.parametrize(
    ("ready", "is_final", "observed", "expected"),
    [
        ({"status": "True", "reason": "DatabaseUp"}, False, 1, 1),
        ({"status": "True", "reason": "DatabaseUp"}, False, None, 1),
        ({"status": "True", "reason": "DatabaseUp"}, False, -1, -1),
        ({"status": "True", "reason": "DatabaseUp", "observedGeneration": 1}, False, 1, 1),
        ({"status": "True", "reason": "DatabaseUp"}, True, 1, 1),
        ({"status": "True", "reason": "DatabaseUp", "observedGeneration": 1}, True, 1, 2),
        ({"status": "False", "reason": "DatabaseDown"}, False, 1, 2),
        ({"status": "True", "reason": "ReconcileSucceeded"}, False, 1, 2),
        ({"status": "True", "reason": "DatabaseUp"}, False, 2, 2),
    ],
    ids=[
        "a role's",
        "nothing observed",
        "default",
        "a role's with its generation",
        "a role's, for good",
        "a role's with its generation, for good",
        "a role's that is not ready",
        "our own",
        "of this generation",
    ],
)
def test_a_failed_run_claims_no_generation_for_which_a_roles_old_ready_would_count(
    ready: dict[str, Any], is_final: bool, observed: int | None, expected: int
) -> None:
    fields: dict[str, Any] = {"conditions": [{"type": "Ready", "message": "m", **ready}]}
    if observed is not None:
        fields["observedGeneration"] = observed
    written = after(status.failed(2, "no", is_final=is_final), foo(fields))
    assert written["status"]["observedGeneration"] == expected
    assert after(status.succeeded(2, SUCCESS), written)["status"]["observedGeneration"] == 2


def test_where_the_schema_keeps_no_reasons_ready_is_the_operators() -> None:
    obj = after(status.succeeded(2, SUCCESS), foo())
    for condition in obj["status"]["conditions"]:
        del condition["reason"]
    assert conditions(after(status.failed(2, "no"), obj))["Ready"]["status"] == "False"
    own = {"type": "Ready", "status": "True", "message": "the role's, without a reason"}
    assert conditions(after(status.failed(2, "no"), foo({"conditions": [own]})))["Ready"] == own


def test_running_marks_success_as_undecided_and_keeps_its_words() -> None:
    got = conditions(after(status.running(2), after(status.succeeded(2, SUCCESS), foo())))
    assert (got["Running"]["reason"], got["Running"]["message"]) == ("Running", "Running reconciliation")
    assert (got["Successful"]["status"], got["Successful"]["message"]) == ("False", "Last reconciliation succeeded")


@pytest.mark.parametrize("junk", [None, "text", [], {"conditions": "text"}, {"conditions": ["text", 1]}], ids=repr)
def test_a_status_that_a_role_filled_with_anything_is_no_obstacle(junk: Any) -> None:
    obj = foo()
    obj["status"] = junk
    assert status.succeeded(2, SUCCESS)(obj, NOW)["observedGeneration"] == 2
