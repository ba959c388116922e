"""One request, one run, one status; what each way to end says to the controller and to the object's conditions."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from reconcile_runner.apimachinery.labels import LabelSelector, Operator, Requirement
from reconcile_runner.controller.reconcile import Failed, Ignored, Succeeded
from reconcile_runner.errors import ApiError, ApiUnreachableError, ConflictError, ExecutionError, RunLostError
from reconcile_runner.execution.job import RunResult, TaskFailure
from reconcile_runner.reconciler.objectwriter import RUNNING_DELAY
from reconcile_runner.watches.watch import Finalizer
from tests.support.fakes.clock import settle
from tests.support.fakes.engine import SUCCESS, FakeEngine
from tests.support.fakes.reconcilerbench import FAILURE, KEY, PATH, bench


async def test_success_is_written_down_and_comes_back_after_the_period(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put()
    assert await b.reconcile() == Succeeded(requeue_after=36000)
    assert b.condition("Ready")["status"] == "True"
    assert b.client.objects[PATH]["status"]["observedGeneration"] == 1
    assert [job.role for job in b.engine.jobs] == [Path("/roles/thing")]


async def test_a_second_success_sends_no_write(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put()
    await b.reconcile()
    await b.reconcile()
    assert len(b.client.calls_of("PATCH")) == 1


async def test_failure_names_the_task_in_conditions_and_asks_for_a_retry(tmp_path: Path) -> None:
    b = bench(tmp_path, FakeEngine([FAILURE]))
    b.put()
    assert await b.reconcile() == Failed("task 'x' failed: no")
    assert (b.condition("Failure")["status"], b.condition("Failure")["message"]) == ("True", "task 'x' failed: no")
    assert b.condition("Ready")["status"] == "False"


async def test_an_engine_that_cannot_run_is_a_failure_that_says_so(tmp_path: Path) -> None:
    b = bench(tmp_path, FakeEngine([ExecutionError("the launcher died")]))
    b.put()
    assert await b.reconcile() == Failed("Unable to run reconciliation: the launcher died", has_begun=False)
    assert "the launcher died" in b.condition("Failure")["message"]


async def test_an_exception_of_a_reconcile_becomes_a_condition_and_an_event(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put()
    outcome = await b.reconciler.tell(KEY, "ValueError: " + "x" * 100_000)
    assert isinstance(outcome, Failed)
    message = b.condition("Failure")["message"]
    assert (b.condition("Failure")["status"], b.condition("Ready")["status"]) == ("True", "False")
    assert message.startswith("The operator met a defect: ValueError: xxx")
    assert len(message) < 1_100
    assert [reason for _, reason, _ in await b.events()] == ["ReconcileFailed"]


async def test_an_exception_about_an_object_that_is_gone_is_told_nobody(tmp_path: Path) -> None:
    assert isinstance(await bench(tmp_path).reconciler.tell(KEY, "ValueError: x"), Ignored)


async def test_a_run_that_failed_before_its_first_task_says_so_to_the_controller(tmp_path: Path) -> None:
    b = bench(tmp_path, FakeEngine([replace(FAILURE, has_begun=False)]))
    b.put()
    assert await b.reconcile() == Failed("task 'x' failed: no", has_begun=False)


@pytest.mark.parametrize("result", [SUCCESS, FAILURE], ids=["success", "failure"])
async def test_a_status_that_was_not_written_and_is_ignored_is_a_warning_and_an_event(
    tmp_path: Path, result: RunResult
) -> None:
    lost = TaskFailure("Say it", "Forbidden: no", "/roles/thing/tasks/main.yml:3")
    b = bench(tmp_path, FakeEngine([replace(result, lost_statuses=(lost,))]))
    b.put()
    with capture_logs() as lines:
        await b.reconcile()
    [line] = [line for line in lines if line["event"] == "a status was not written, and the role ignores it"]
    assert line["log_level"] == "warning"
    assert (line["task"], line["task_path"], line["error"]) == (lost.task, lost.path, lost.message)
    told = "The role ignores that a status was not written: Say it (/roles/thing/tasks/main.yml:3): Forbidden: no"
    assert ("Warning", "StatusNotWritten", told) in await b.events()


async def test_a_run_that_the_engine_lost_is_tried_again_without_a_word_in_the_status(tmp_path: Path) -> None:
    b = bench(tmp_path, FakeEngine([RunLostError("the fork server died under the run"), SUCCESS]))
    b.put()
    assert isinstance(await b.reconcile(), Failed)
    assert b.client.calls_of("PATCH") == []
    assert isinstance(await b.reconcile(), Succeeded)


async def test_a_quick_run_never_says_running(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put()
    await b.reconcile()
    assert len(b.client.calls_of("PATCH")) == 1


async def test_a_long_run_says_running_after_a_second(tmp_path: Path) -> None:
    engine = FakeEngine(hold=True)
    b = bench(tmp_path, engine)
    b.put()
    running = asyncio.create_task(b.reconcile())
    await b.clock.advance(RUNNING_DELAY / 2)
    assert b.condition("Running") == {}
    await b.clock.advance(RUNNING_DELAY)
    assert (b.condition("Running")["reason"], b.condition("Ready")["status"]) == ("Running", "Unknown")
    engine.release()
    await running
    assert (b.condition("Running")["reason"], b.condition("Ready")["status"]) == ("Successful", "True")


async def test_an_object_that_is_gone_loses_its_directory(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put()
    await b.reconcile()
    b.store.replace([])
    assert isinstance(await b.reconcile(), Ignored)
    assert not list(tmp_path.iterdir())


async def test_an_object_deleted_during_its_run_is_no_failure_and_leaves_nothing(tmp_path: Path) -> None:
    engine = FakeEngine([FAILURE], hold=True)
    b = bench(tmp_path, engine)
    b.put()
    running = asyncio.create_task(b.reconcile())
    await settle()
    await b.client.delete(PATH)
    engine.release()
    assert isinstance(await running, Ignored)
    assert not list(tmp_path.iterdir())


async def test_an_object_replaced_during_its_run_is_not_written_to(tmp_path: Path) -> None:
    engine = FakeEngine(hold=True)
    b = bench(tmp_path, engine)
    b.put()
    running = asyncio.create_task(b.reconcile())
    await settle()
    b.put(uid="u2")
    engine.release()
    assert isinstance(await running, Ignored)
    assert "status" not in b.client.objects[PATH]


async def test_a_kind_removed_during_the_run_is_no_failure(tmp_path: Path) -> None:
    b = bench(tmp_path, FakeEngine([FAILURE]))
    b.put()
    b.client.answer("/apis/example.com/v1", {"resources": []})
    assert isinstance(await b.reconcile(), Ignored)


async def test_what_the_selector_leaves_out_is_not_run(tmp_path: Path) -> None:
    selector = LabelSelector((Requirement("tier", Operator.IN, frozenset({"gold"})),))
    b = bench(tmp_path, selector=selector)
    b.put(labels={"tier": "silver"})
    assert isinstance(await b.reconcile(), Ignored)
    assert b.engine.jobs == []


async def test_an_object_under_deletion_is_left_to_its_finalizers(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put(deletionTimestamp="2026-01-01T00:00:00Z")
    assert isinstance(await b.reconcile(), Ignored)
    assert b.engine.jobs == []


async def test_a_marker_key_is_refused_and_waits_for_a_change(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.store.replace([b.client.put(PATH, {**b.put(), "spec": {"v": {"__ansible_vault": "x"}}})])
    outcome = await b.reconcile()
    assert isinstance(outcome, Ignored)
    assert "__ansible_vault" in b.condition("Failure")["message"]
    assert b.engine.jobs == []


@pytest.mark.parametrize(
    ("watch_period", "annotation", "expected"),
    [(None, None, None), (60.0, None, 60.0), (60.0, "5s", 5.0), (60.0, "0s", None)],
    ids=["none", "watch", "annotation before watch", "zero is never"],
)
async def test_the_period_comes_from_the_nearest_place(
    tmp_path: Path, watch_period: float | None, annotation: str | None, expected: float | None
) -> None:
    b = bench(tmp_path, reconcile_period=watch_period)
    name = "ansible.sdk.operatorframework.io/reconcile-period"
    b.put(annotations={name: annotation} if annotation else {})
    assert await b.reconcile() == Succeeded(requeue_after=expected)


async def test_a_period_that_cannot_be_read_is_said_in_the_conditions(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put(annotations={"ansible.sdk.operatorframework.io/reconcile-period": "soon"})
    assert isinstance(await b.reconcile(), Ignored)
    assert "'soon'" in b.condition("Failure")["message"]


async def test_a_failure_that_waits_for_a_change_is_stalled_until_there_is_one(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put(annotations={"ansible.sdk.operatorframework.io/reconcile-period": "soon"})
    await b.reconcile()
    assert b.condition("Stalled")["reason"] == "WaitingForChange"
    del b.client.objects[PATH]["metadata"]["annotations"]
    b.seen()
    await b.reconcile()
    assert (b.condition("Stalled"), b.condition("Ready")["status"]) == ({}, "True")


async def test_a_periodic_run_of_a_kind_without_the_subresource_is_not_announced(tmp_path: Path) -> None:
    engine = FakeEngine(hold=True)
    b = bench(tmp_path, engine, has_subresource=False)
    b.put()
    for announced in ("Running", "Successful"):
        engine.hold()
        running = asyncio.create_task(b.reconcile())
        await b.clock.advance(2 * RUNNING_DELAY)
        assert b.condition("Running")["reason"] == announced
        engine.release()
        await running
        b.seen()


async def test_the_role_may_ask_to_be_run_again_sooner(tmp_path: Path) -> None:
    b = bench(tmp_path, FakeEngine([replace(SUCCESS, requeue_after=30.0)]))
    b.put()
    assert await b.reconcile() == Succeeded(requeue_after=30.0)


async def test_without_manage_status_nothing_is_written(tmp_path: Path) -> None:
    b = bench(tmp_path, FakeEngine([SUCCESS, FAILURE]), manage_status=False)
    b.put()
    assert isinstance(await b.reconcile(), Succeeded)
    assert isinstance(await b.reconcile(), Failed)
    assert b.client.calls_of("PATCH") == []


@pytest.mark.parametrize(
    "error", [ApiError(503, "ServiceUnavailable", "later"), ApiUnreachableError("no answer")], ids=type
)
async def test_a_status_that_cannot_be_written_is_tried_again(tmp_path: Path, error: Exception) -> None:
    b = bench(tmp_path)
    b.put()
    b.client.fail("PATCH", f"{PATH}/status", error)
    outcome = await b.reconcile()
    assert isinstance(outcome, Failed)
    assert str(error) in outcome.message


async def test_a_conflicting_write_is_worked_out_anew(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put()
    b.client.fail("PATCH", f"{PATH}/status", ConflictError(409, "Conflict", "changed"), times=2)
    assert isinstance(await b.reconcile(), Succeeded)
    assert b.condition("Ready")["status"] == "True"


async def test_upstreams_status_announces_every_run_and_adds_nothing_of_ours(tmp_path: Path) -> None:
    b = bench(tmp_path, upstream_status=True)
    b.put()
    await b.reconcile()
    assert len(b.client.calls_of("PATCH")) == 2
    written = b.client.objects[PATH]["status"]
    assert [condition["type"] for condition in written["conditions"]] == ["Running", "Successful", "Failure"]
    assert "observedGeneration" not in written


@pytest.mark.parametrize("text", ["true", ""])
async def test_nothing_is_run_for_an_object_that_is_paused(tmp_path: Path, text: str) -> None:
    b = bench(tmp_path, finalizer=Finalizer("example.com/f", vars={"a": 1}))
    b.put(annotations={"reconcile-runner/paused": text})
    assert isinstance(await b.reconcile(), Ignored)
    b.put(
        annotations={"reconcile-runner/paused": text},
        deletionTimestamp="2026-01-01T00:00:00Z",
        finalizers=["example.com/f"],
    )
    assert isinstance(await b.reconcile(), Ignored)
    assert (b.engine.jobs, b.client.calls_of("PATCH")) == ([], [])


async def test_events_tell_of_a_changed_outcome_and_of_failures_with_their_task(tmp_path: Path) -> None:
    b = bench(tmp_path, FakeEngine([SUCCESS, SUCCESS, FAILURE, FAILURE, SUCCESS]))
    b.put()
    for _ in range(5):
        await b.reconcile()
        b.seen()
    assert await b.events() == [
        ("Normal", "Reconciled", "The last run succeeded"),
        ("Warning", "ReconcileFailed", "task 'x' failed: no"),
    ]


async def test_without_conditions_events_tell_of_failures_and_of_what_follows_them(tmp_path: Path) -> None:
    b = bench(tmp_path, FakeEngine([SUCCESS, FAILURE, SUCCESS, SUCCESS]), manage_status=False)
    b.put()
    told = []
    for _ in range(4):
        await b.reconcile()
        told.append([reason for _, reason, _ in await b.events()])
    assert told == [[], ["ReconcileFailed"], ["ReconcileFailed", "Reconciled"], ["ReconcileFailed", "Reconciled"]]
