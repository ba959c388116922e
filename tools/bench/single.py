"""One event at a time, on an idle system: from the request that causes it to the status that answers it.

The clock starts when the request is sent, and stops when a watch shows the status.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from reconcile_runner.apimachinery.objects import ObjectKey
from reconcile_runner.metrics import PHASE_DURATION, Phase
from tools.bench import definitions
from tools.bench.report import Figures, Section, Unit
from tools.bench.scrape import Scrape
from tools.bench.session import Session, friend_of, tell
from tools.bench.stats import percentile
from tools.bench.system import System
from tools.bench.watching import ObjectWatch, happy_is

PATIENCE = 120.0
"""Seconds after which a status that does not come is an error."""

BATCH = 5
"""Events of one system before it is another one's turn."""


async def create_one_by_one(
    session: Session, foos: ObjectWatch, systems: Sequence[System], count: int
) -> dict[str, list[ObjectKey]]:
    """Create Foos one by one until their first status; return them by system."""
    latencies: dict[str, list[float]] = {system.name: [] for system in systems}
    made: dict[str, list[ObjectKey]] = {system.name: [] for system in systems}
    for number in range(count):
        tell(f"one Foo at a time: {number + 1} of {count}")
        for system in systems:
            key = ObjectKey(system.namespace, session.new_name("one"))
            latencies[system.name].append(await _create_one(session, foos, system, key))
            made[system.name].append(key)
    for name, values in latencies.items():
        _add_percentiles(session.figures, "Foo created -> status", name, values)
    return made


async def _create_one(session: Session, foos: ObjectWatch, system: System, key: ObjectKey) -> float:
    await system.tree.settle()
    expected = foos.expect([key], happy_is(None))
    begun = time.monotonic()
    await session.create_foo(key)
    return (await expected.within(PATIENCE))[key] - begun


async def create_friends(
    session: Session,
    foos: ObjectWatch,
    systems: Sequence[System],
    unhappy: Mapping[str, Sequence[ObjectKey]],
    count: int,
) -> None:
    """Create the friends' Pods of ``count`` Foos of each system, one by one, until each Foo is happy."""
    latencies: dict[str, list[float]] = {system.name: [] for system in systems}
    before = {system.name: await system.scrape() for system in systems}
    for first in range(0, count, BATCH):
        tell(f"one Pod at a time: {first} of {count}")
        for system in systems:
            for key in unhappy[system.name][first : min(first + BATCH, count)]:
                latencies[system.name].append(await create_friend(session, foos, system, key))
    for system in systems:
        _add_percentiles(session.figures, "Pod created -> happy", system.name, latencies[system.name])
        await system.tree.settle()
        _add_phases(session.figures, system.name, before[system.name], await system.scrape())


async def create_friend(session: Session, foos: ObjectWatch, system: System, key: ObjectKey) -> float:
    """Create the Pod that a Foo looks for, when the system is idle; return the seconds until the Foo is happy."""
    await system.tree.settle()
    return await time_to_happy(session, foos, key)


async def time_to_happy(session: Session, foos: ObjectWatch, key: ObjectKey) -> float:
    """Create the Pod that a Foo looks for; return the seconds until the Foo is happy."""
    expected = foos.expect([key], happy_is(True))
    begun = time.monotonic()
    await session.create_pod(ObjectKey(key.namespace, friend_of(key)))
    return (await expected.within(PATIENCE))[key] - begun


def _add_percentiles(figures: Figures, what: str, system: str, values: Sequence[float]) -> None:
    for percent in (50, 95, 99):
        name = f"{what}, p{percent}"
        figures.add(Section.EVENT, name, Unit.SECONDS, system, percentile(values, percent), len(values))


def _add_phases(figures: Figures, system: str, before: Scrape, after: Scrape) -> None:
    labels = {"controller": definitions.FOO_CONTROLLER}
    for phase in Phase:
        mean = after.mean_since(before, PHASE_DURATION.name, **labels, phase=str(phase))
        if mean is not None:
            note = "means over the runs of the Pod events above; the status that users see is written within modules"
            figures.add(Section.PHASES, str(phase), Unit.SECONDS, system, mean, note=note)
