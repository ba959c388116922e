"""What conditions say of the last run, whoever wrote them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from reconcile_runner.execution.job import RunResult, RunStats, RunStatus
from reconcile_runner.reconciler.status import LastResult, StatusUpdate, conditions, last_result, upstream

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SUCCESS = RunResult(RunStatus.SUCCESSFUL, RunStats(ok=1))
FAILURE = RunResult(RunStatus.FAILED, RunStats(failures=1), message="no")


def after(*updates: StatusUpdate) -> dict[str, Any]:
    obj: dict[str, Any] = {"status": {}}
    for update in updates:
        obj["status"] |= update(obj, NOW)
    return obj


@pytest.mark.parametrize("words", [conditions, upstream], ids=["own", "upstream"])
def test_the_last_result_can_be_read_back_also_while_a_run_is_under_way(words: Any) -> None:
    assert last_result(after(words.running(1))) is LastResult.UNKNOWN
    assert last_result(after(words.succeeded(1, SUCCESS))) is LastResult.SUCCEEDED
    assert last_result(after(words.succeeded(1, SUCCESS), words.running(1))) is LastResult.SUCCEEDED
    failed = (words.succeeded(1, SUCCESS), words.failed(1, "no", FAILURE))
    assert last_result(after(*failed)) is LastResult.FAILED
    assert last_result(after(*failed, words.running(1))) is LastResult.FAILED
    assert last_result(after(*failed, words.succeeded(1, SUCCESS))) is LastResult.SUCCEEDED
    assert last_result(after(words.succeeded(1, SUCCESS), words.failed(1, "not run", None))) is LastResult.FAILED


def test_a_success_is_known_without_its_reason() -> None:
    obj = after(conditions.succeeded(1, SUCCESS))
    for condition in obj["status"]["conditions"]:
        del condition["reason"]
    assert last_result(obj) is LastResult.SUCCEEDED


@pytest.mark.parametrize("junk", [None, "text", {"conditions": [1, {"type": 3}]}], ids=repr)
def test_a_status_full_of_anything_says_nothing(junk: object) -> None:
    assert last_result({"status": junk}) is LastResult.UNKNOWN
