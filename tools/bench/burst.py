"""Many Foos created at once: how many runs a second, what each costs, and what memory a run takes while it lasts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from reconcile_runner.apimachinery.objects import ObjectKey
from tools.bench.report import Section, Unit
from tools.bench.session import Session, for_each, keys, tell
from tools.bench.system import WORKERS, System
from tools.bench.watching import ObjectWatch, happy_is

PATIENCE = 600.0
"""Seconds after which a status that does not come is an error."""

_SAMPLE_INTERVAL = 0.1
"""Seconds between two looks at the memory, which cost a few milliseconds each."""


@dataclass(frozen=True, slots=True)
class Burst:
    """``seconds`` from the first request to the last status; ``cpu_seconds`` of the whole tree, until it was idle."""

    foos: Sequence[ObjectKey]
    seconds: float
    cpu_seconds: float


async def measure(
    session: Session, foos: ObjectWatch, systems: Sequence[System], size: int, rounds: int
) -> dict[str, list[ObjectKey]]:
    """Let each system have ``rounds`` bursts of ``size`` Foos, in turns; return the Foos by system."""
    bursts: dict[str, list[Burst]] = {system.name: [] for system in systems}
    for number in range(rounds):
        for system in systems:
            tell(f"{size} Foos at once, round {number + 1} of {rounds}: {system.name}")
            bursts[system.name].append(await _burst(session, foos, system, size))
    for name, done in bursts.items():
        total = size * rounds
        rate = total / sum(one.seconds for one in done)
        cpu = sum(one.cpu_seconds for one in done) / total
        what = f"{size} Foos"
        session.figures.add(Section.BURST, f"{what} created at once", Unit.RUNS_PER_SECOND, name, rate, rounds)
        session.figures.add(Section.BURST, f"{what}: CPU per run", Unit.CPU_SECONDS, name, cpu, rounds)
    return {name: [key for one in done for key in one.foos] for name, done in bursts.items()}


async def _burst(session: Session, foos: ObjectWatch, system: System, size: int) -> Burst:
    await system.tree.settle()
    wanted = keys(system.namespace, session.new_name("burst"), size)
    cpu = system.tree.cpu_seconds()
    expected = foos.expect(wanted, happy_is(None))
    begun = time.monotonic()
    await for_each(wanted, session.create_foo)
    seconds = max((await expected.within(PATIENCE)).values()) - begun
    await system.tree.settle()
    return Burst(wanted, seconds, system.tree.cpu_seconds() - cpu)


async def measure_memory(session: Session, foos: ObjectWatch, systems: Sequence[System], size: int) -> None:
    """Compare what a system takes when idle with the most it takes in a burst of ``size`` Foos."""
    for system in systems:
        tell(f"memory: {system.name}")
        await system.tree.settle()
        idle = system.tree.pss_megabytes()
        peak = await _peak(session, foos, system, size)
        figures = session.figures
        figures.add(Section.MEMORY, "idle, after the runs above", Unit.MEGABYTES, system.name, idle)
        figures.add(Section.MEMORY, f"most seen with {WORKERS} runs at once", Unit.MEGABYTES, system.name, peak)
        figures.add(
            Section.MEMORY,
            "above idle, for each run at once",
            Unit.MEGABYTES,
            system.name,
            max(0.0, peak - idle) / WORKERS,
        )


async def _peak(session: Session, foos: ObjectWatch, system: System, size: int) -> float:
    expected = foos.expect(wanted := keys(system.namespace, session.new_name("memory"), size), happy_is(None))
    await for_each(wanted, session.create_foo)
    waiting = asyncio.create_task(expected.within(PATIENCE), name="bench memory burst")
    peak = 0.0
    while not waiting.done():
        peak = max(peak, await asyncio.to_thread(system.tree.pss_megabytes))
        await asyncio.wait([waiting], timeout=_SAMPLE_INTERVAL)
    await waiting
    return peak
