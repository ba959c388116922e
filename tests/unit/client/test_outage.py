"""When trouble deserves a line in the log."""

from __future__ import annotations

from reconcile_runner.client import Trouble
from tests.support.fakes.clock import FakeClock


async def test_it_is_news_when_it_begins_once_a_minute_and_when_its_cause_changes() -> None:
    clock = FakeClock()
    trouble = Trouble(clock)
    assert trouble.is_news("forbidden")
    await clock.advance(59.0)
    assert not trouble.is_news("forbidden")
    await clock.advance(1.0)
    assert trouble.is_news("forbidden")
    assert trouble.is_news("not found")
    assert not trouble.is_news("not found")


async def test_its_end_is_told_once_with_how_long_it_lasted() -> None:
    clock = FakeClock()
    trouble = Trouble(clock)
    assert trouble.end() is None
    trouble.is_news("forbidden")
    await clock.advance(12.34)
    trouble.is_news("not found")
    assert trouble.end() == 12.3
    assert trouble.end() is None
    assert trouble.is_news("forbidden")
