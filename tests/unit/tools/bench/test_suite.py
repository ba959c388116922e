from __future__ import annotations

import pytest

from reconcile_runner.options import EngineName
from tools.bench import suite
from tools.bench.suite import Amounts
from tools.bench.system import own_engines


@pytest.mark.parametrize("amounts", [Amounts(), suite.QUICK], ids=["full", "quick"])
def test_there_is_a_fresh_foo_for_every_event(amounts: Amounts) -> None:
    assert amounts.singles + amounts.small_burst * amounts.burst_rounds >= amounts.events


def test_latencies_are_of_fifty_events_at_least() -> None:
    assert Amounts().events >= 50


def test_the_sizes_of_growth_go_up() -> None:
    assert list(Amounts().growth) == sorted(set(Amounts().growth))


def test_every_engine_is_measured_the_plain_one_first() -> None:
    assert {spec.name for spec in own_engines()} == set(EngineName)
    assert own_engines()[0].name == EngineName.SUBPROCESS
