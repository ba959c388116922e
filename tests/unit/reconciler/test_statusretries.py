"""A status that the API server refuses is written again, until it is taken; its run is not repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from reconcile_runner.controller.reconcile import Failed, Ignored, Outcome, Succeeded
from reconcile_runner.errors import ApiError, ApiUnreachableError, ForbiddenError
from reconcile_runner.execution.job import RunResult
from reconcile_runner.reconciler import statusretries
from reconcile_runner.reconciler.statusretries import DELAYS, is_refusal
from reconcile_runner.watches.watch import Watch
from tests.support.fakes.clock import settle
from tests.support.fakes.engine import SUCCESS, FakeEngine
from tests.support.fakes.reconcilerbench import FAILURE, GVK, PATH, Bench, bench

INVALID = ApiError(422, "Invalid", "status.conditions[0].reason: should be at least 1 chars long")
FORBIDDEN = ForbiddenError(403, "Forbidden", "may not patch things/status")
LABELS = {"controller": Watch(GVK).controller_name}
REFUSED = "the status is refused: trying to write it again"


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    capture = LogCapture()
    monkeypatch.setattr(statusretries, "_log", structlog.wrap_logger(None, processors=[capture]))
    return capture


@asynccontextmanager
async def trying_again(made: Bench) -> AsyncIterator[None]:
    running = asyncio.create_task(made.retries.run(), name="status retries")
    await settle()
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def refused(made: Bench) -> float:
    return made.metrics.registry.get_sample_value("reconcile_runner_status_refused_total", LABELS) or 0


@pytest.mark.parametrize("error", [INVALID, FORBIDDEN], ids=["422", "403"])
@pytest.mark.parametrize(
    ("result", "outcome", "ready"),
    [(SUCCESS, Succeeded(requeue_after=36000), "True"), (FAILURE, Failed("task 'x' failed: no"), "False")],
    ids=["success", "failure"],
)
async def test_the_status_alone_is_tried_again(
    tmp_path: Path, logged: LogCapture, error: ApiError, result: RunResult, outcome: Outcome, ready: str
) -> None:
    b = bench(tmp_path, FakeEngine([result]))
    b.put()
    b.client.fail("PATCH", f"{PATH}/status", error, times=4)
    async with trying_again(b):
        assert await b.reconcile() == outcome
        tries = []
        for failures in range(1, 4):
            await b.clock.advance(DELAYS.after(failures) - 0.01)
            tries.append(len(b.client.calls_of("PATCH")))
            await b.clock.advance(0.01)
        assert (tries, b.condition("Ready")) == ([1, 2, 3], {})
        await b.clock.advance(DELAYS.after(4))
        assert b.condition("Ready")["status"] == ready
        assert (len(b.engine.jobs), refused(b)) == (1, 4)
        assert b.clock.pending == 0
    warning, done = logged.entries
    assert (warning["event"], warning["error"]) == (REFUSED, str(error))
    assert (done["event"], done["tries"]) == ("the refused status is written", 5)
    events = await b.events()
    assert ("Warning", "StatusRefused", f"The status cannot be written: {error}") in events
    assert "Reconciled" not in [reason for _, reason, _ in events]


async def test_another_reason_is_another_warning(tmp_path: Path, logged: LogCapture) -> None:
    b = bench(tmp_path)
    b.put()
    for error in (INVALID, INVALID, FORBIDDEN, ApiUnreachableError("no answer")):
        b.client.fail("PATCH", f"{PATH}/status", error)
    async with trying_again(b):
        await b.reconcile()
        await b.clock.advance(DELAYS.cap)
    assert [entry.get("error") for entry in logged.entries] == [str(INVALID), str(FORBIDDEN), "no answer", None]
    assert refused(b) == 3


async def test_the_wait_grows_up_to_five_minutes(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put()
    b.client.fail("PATCH", f"{PATH}/status", INVALID, times=1000)
    async with trying_again(b):
        await b.reconcile()
        await b.clock.advance(3600)
        assert b.clock.next_wakeup is not None
        assert 0 < b.clock.next_wakeup <= 300
        assert len(b.client.calls_of("PATCH")) < 25


async def test_a_later_run_takes_the_place_of_the_refused_status(tmp_path: Path) -> None:
    b = bench(tmp_path, FakeEngine([FAILURE, SUCCESS]))
    b.put()
    b.client.fail("PATCH", f"{PATH}/status", INVALID)
    async with trying_again(b):
        assert isinstance(await b.reconcile(), Failed)
        assert isinstance(await b.reconcile(), Succeeded)
        assert (b.condition("Ready")["status"], b.clock.pending) == ("True", 0)
        await b.clock.advance(DELAYS.cap)
        assert b.condition("Ready")["status"] == "True"


async def test_an_object_that_goes_takes_its_refused_status_with_it(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put()
    b.client.fail("PATCH", f"{PATH}/status", INVALID)
    async with trying_again(b):
        await b.reconcile()
        await b.client.delete(PATH)
        b.seen()
        assert isinstance(await b.reconcile(), Ignored)
        await settle()
        assert b.clock.pending == 0


async def test_an_object_that_went_without_anybody_noticing_ends_the_tries(tmp_path: Path, logged: LogCapture) -> None:
    b = bench(tmp_path)
    b.put()
    b.client.fail("PATCH", f"{PATH}/status", INVALID)
    async with trying_again(b):
        await b.reconcile()
        await b.client.delete(PATH)
        await b.clock.advance(DELAYS.after(1))
        assert (b.clock.pending, [entry["event"] for entry in logged.entries]) == (0, [REFUSED])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (INVALID, True),
        (FORBIDDEN, True),
        (ApiError(400, "BadRequest", ""), True),
        (ApiError(413, "RequestEntityTooLarge", ""), True),
        (ApiError(409, "Conflict", ""), False),
        (ApiError(429, "TooManyRequests", ""), False),
        (ApiError(500, "InternalError", ""), False),
        (ApiUnreachableError("no answer"), False),
    ],
    ids=lambda each: str(getattr(each, "status", each)),
)
def test_what_may_pass_by_itself_is_no_refusal(error: ApiError | ApiUnreachableError, expected: bool) -> None:
    assert is_refusal(error) is expected
