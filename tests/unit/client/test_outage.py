"""When trouble deserves a line in the log."""

from __future__ import annotations

from reconcile_runner.client import OutageLog
from tests.support.fakes.clock import FakeClock


async def test_it_is_news_when_it_begins_once_a_minute_and_when_its_cause_changes() -> None:
    clock = FakeClock()
    outage = OutageLog(clock)
    assert outage.should_log("forbidden")
    await clock.advance(59.0)
    assert not outage.should_log("forbidden")
    await clock.advance(1.0)
    assert outage.should_log("forbidden")
    assert outage.should_log("not found")
    assert not outage.should_log("not found")


async def test_its_end_is_told_once_with_how_long_it_lasted() -> None:
    clock = FakeClock()
    outage = OutageLog(clock)
    assert outage.end() is None
    outage.should_log("forbidden")
    await clock.advance(12.34)
    outage.should_log("not found")
    assert outage.end() == 12.3
    assert outage.end() is None
    assert outage.should_log("forbidden")
