"""The operator's processes in both replicas are killed again and again while Foos change: nothing may be lost."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field

import pytest

from tests.e2e.changing import Village
from tests.e2e.deployed import Deployed
from tests.e2e.killing import Death, kill, overlaps

pytestmark = pytest.mark.timeout(1800)

FOOS = 20
CHANGES = 200
KILLS = 10
LEADERS = 5
"""How many of those that are killed lead, at least."""

LAST_CHANGES = 20
"""Are kept for after the last kill, so that all kills are in the middle of them."""

SEED = 20260101


@dataclass
class Changing:
    """Makes changes, in a thread, for as long as the storm takes: ``CHANGES`` in all."""

    village: Village
    over: threading.Event = field(default_factory=threading.Event)
    failure: BaseException | None = None

    def run(self) -> None:
        try:
            while self.village.changes < CHANGES - LAST_CHANGES:
                self.village.change()
                self.over.wait(0.6)
            self.over.wait()
            while self.village.changes < CHANGES:
                self.village.change()
        except BaseException as error:  # noqa: BLE001 told to the test, which fails
            self.failure = error


def storm(operator: Deployed) -> list[Death]:
    """Kill a process ``KILLS`` times, at random moments; at least ``LEADERS`` times the one that leads."""
    chance = random.Random(SEED)  # noqa: S311 tests, not secrets
    roles = ["leader"] * LEADERS + [chance.choice(["leader", "standby"]) for _ in range(KILLS - LEADERS)]
    chance.shuffle(roles)
    deaths: list[Death] = []
    for role in roles:
        victim = operator.leader({death.held for death in deaths}) if role == "leader" else operator.standby()
        time.sleep(chance.uniform(0.0, 4.0))
        deaths.append(kill(operator, victim))
    return deaths


def test_ten_kills_in_the_middle_of_two_hundred_changes_lose_nothing(
    operator: Deployed, village: Village, figures: list[str]
) -> None:
    village.populate(FOOS)
    village.settles()
    operator.settle()
    changing = Changing(village)
    with operator.logs().followed() as logs:
        thread = threading.Thread(target=changing.run, name="changes", daemon=True)
        thread.start()
        try:
            deaths = storm(operator)
        finally:
            changing.over.set()
            thread.join(timeout=120)
        assert changing.failure is None, changing.failure
        assert village.changes == CHANGES
        village.settles()
    processes = logs.processes()
    assert len(deaths) == KILLS
    assert sum(bool(death.held) for death in deaths) >= LEADERS
    assert overlaps(processes, deaths) == []
    runs = [run for log in processes for run in log.runs()]
    cut_off = sum(run.end is None for run in runs)
    figures.append(f"restart storm: {len(processes)} processes, {len(runs)} runs, {cut_off} of them cut off by a kill")
