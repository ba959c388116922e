"""What is measured, in which order, and how often: ``compare`` side by side, ``scale`` with many objects."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from reconcile_runner.apimachinery.objects import ObjectKey
from reconcile_runner.options import EngineName
from tools.bench import baseline, burst, deaths, definitions, growth, noop, proxied, single, startup
from tools.bench.report import Figures, Report, this_machine
from tools.bench.session import Session, session, tell
from tools.bench.startup import Extent
from tools.bench.system import DIRECT, PEER, System, SystemSpec, own_engines, running
from tools.bench.watching import ObjectWatch, happy_is


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much is measured.

    - ``singles``: Foos created one by one; ``events``: Pods created one by one
    - ``small_burst``: Foos created at once by every system, in ``burst_rounds`` rounds; ``large_bursts``: by fast ones
    - ``baseline_rounds``, ``proxy_rounds``, ``noop_rounds``: runs of each; ``noop_sizes``: tasks, of ``NOOP_SIZES``
    - ``deaths``: runs ended by each kill
    - ``existing``: Foos at start-up, ``changes``: of those changed meanwhile
    - ``growth``: Foos, and as many Pods; ``growth_events``: Pods created one by one; ``idle_seconds``: watched idle
    """

    singles: int = 10
    events: int = 50
    small_burst: int = 20
    burst_rounds: int = 2
    large_bursts: tuple[int, ...] = (100, 500)
    baseline_rounds: int = 8
    proxy_rounds: int = 20
    deaths: int = 5
    noop_rounds: int = 3
    noop_sizes: tuple[int, ...] = definitions.NOOP_SIZES
    existing: int = 500
    changes: int = 5
    growth: tuple[int, ...] = (10, 1_000, 10_000)
    growth_events: int = 200
    idle_seconds: float = 10.0


QUICK = Amounts(
    singles=1,
    events=2,
    small_burst=3,
    burst_rounds=1,
    large_bursts=(5,),
    baseline_rounds=1,
    proxy_rounds=1,
    deaths=1,
    noop_rounds=1,
    noop_sizes=definitions.NOOP_SIZES[:2],
    existing=5,
    changes=1,
    growth=(4, 8),
    growth_events=5,
    idle_seconds=1.0,
)
"""Enough to see that everything works; its figures mean nothing."""

_SLOW = frozenset({str(EngineName.SUBPROCESS), PEER})
"""Systems whose runs take seconds: spared the largest amounts."""


async def compare(amounts: Amounts, peer: Path | None) -> Report:
    """Measure the engines of this repository side by side, and another operator beside them."""
    specs = [*own_engines(), *([SystemSpec(PEER, peer)] if peer else [])]

    async def measure(surroundings: Session) -> None:
        definitions.write_watches(surroundings.directory)
        async with _watches(surroundings) as (foos, noops):
            await _side_by_side(surroundings, foos, noops, specs, amounts)
            for spec in specs:
                if not spec.is_peer:
                    extent = Extent(amounts.existing, amounts.changes, spec.name not in _SLOW)
                    await startup.measure(surroundings, foos, spec, extent)
            await deaths.measure(surroundings, amounts.deaths)

    return await _report([*(spec.name for spec in specs), DIRECT.name, baseline.BARE], measure)


async def scale(amounts: Amounts) -> Report:
    """Measure how costs grow with the number of objects."""

    async def measure(surroundings: Session) -> None:
        definitions.write_watches(surroundings.directory)
        already = 0
        for count in amounts.growth:
            extent = growth.Extent(already, count, amounts.growth_events, amounts.idle_seconds)
            await growth.measure(surroundings, extent)
            already = count

    return await _report([growth.column_of(count) for count in amounts.growth], measure)


async def _side_by_side(
    surroundings: Session, foos: ObjectWatch, noops: noop.Watches, specs: Sequence[SystemSpec], amounts: Amounts
) -> None:
    with ExitStack() as processes:
        systems = [await _start(surroundings, spec, foos, processes) for spec in specs]
        own = [system for system in systems if not system.spec.is_peer]
        fast = [system for system in systems if system.name not in _SLOW]
        made = await single.create_one_by_one(surroundings, foos, systems, amounts.singles)
        for name, keys in (
            await burst.measure(surroundings, foos, systems, amounts.small_burst, amounts.burst_rounds)
        ).items():
            made[name].extend(keys)
        for size in amounts.large_bursts:
            await burst.measure(surroundings, foos, fast, size, 1)
        unhappy = {name: keys[-amounts.events :] for name, keys in made.items()}
        await single.create_friends(surroundings, foos, own, unhappy, amounts.events)
        fresh = {system.name: [await _fresh_foo(surroundings, foos, system)] for system in own}
        await baseline.measure(surroundings, foos, own, fresh, amounts.baseline_rounds)
        fast_own = next(system for system in own if system in fast)
        await _past_the_proxy(surroundings, foos, fast_own, amounts.proxy_rounds)
        await noop.measure(surroundings, noops, own, amounts.noop_sizes, amounts.noop_rounds)
        await burst.measure_memory(surroundings, foos, own, amounts.small_burst)


async def _past_the_proxy(surroundings: Session, foos: ObjectWatch, ordinary: System, rounds: int) -> None:
    with ExitStack() as processes:
        systems = [await _start(surroundings, DIRECT, foos, processes), ordinary]
        fresh = {system: await _fresh_foo(surroundings, foos, system) for system in systems}
        await proxied.measure(surroundings, foos, fresh, ordinary.name, rounds)


async def _start(surroundings: Session, spec: SystemSpec, foos: ObjectWatch, processes: ExitStack) -> System:
    """Start a system and let it run a role once, which is not counted."""
    tell(f"starting {spec.name}")
    namespace = f"bench-{spec.name}"
    await surroundings.create_namespace(namespace)
    system = processes.enter_context(running(spec, surroundings, namespace))
    await system.while_alive(_fresh_foo(surroundings, foos, system))
    return system


async def _fresh_foo(surroundings: Session, foos: ObjectWatch, system: System) -> ObjectKey:
    key = ObjectKey(system.namespace, surroundings.new_name("fresh"))
    expected = foos.expect([key], happy_is(None))
    await surroundings.create_foo(key)
    await expected.within(single.PATIENCE)
    return key


@asynccontextmanager
async def _watches(surroundings: Session) -> AsyncIterator[tuple[ObjectWatch, noop.Watches]]:
    foos = ObjectWatch(surroundings.client, definitions.FOOS)
    noops = {size: ObjectWatch(surroundings.client, definitions.noop_path(size)) for size in definitions.NOOP_SIZES}
    tasks = [asyncio.create_task(watch.run(), name="bench watch") for watch in (foos, *noops.values())]
    try:
        yield foos, noops
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _report(systems: Sequence[str], measure: Callable[[Session], Awaitable[None]]) -> Report:
    load_before, begun = os.getloadavg(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="reconcile-bench-") as directory:
        async with session(Path(directory)) as surroundings:
            await measure(surroundings)
            figures: Figures = surroundings.figures
    return Report(
        machine=this_machine(),
        systems=tuple(systems),
        load_before=load_before,
        load_after=os.getloadavg(),
        seconds=time.monotonic() - begun,
        figures=figures.all(),
    )
