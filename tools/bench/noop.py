"""Roles of 1, 2, 5 and 20 tasks that look for a Pod and change nothing: what a run costs, and what each task adds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from reconcile_runner.apimachinery.objects import ObjectKey, generation
from reconcile_runner.metrics import RUN_DURATION
from tools.bench import definitions
from tools.bench.report import Figures, Section, Unit
from tools.bench.session import Session, tell
from tools.bench.stats import fit_line
from tools.bench.system import System
from tools.bench.watching import ObjectWatch, observed

_PATIENCE = 180.0

Watches = dict[int, ObjectWatch]
"""The watch of each size's kind."""


async def measure(
    session: Session, watches: Watches, systems: Sequence[System], sizes: Sequence[int], rounds: int
) -> None:
    """Run each size of role ``rounds`` times by each system, in turns, after one run that is not counted."""
    walls: dict[tuple[str, int], list[float]] = {}
    cpus: dict[tuple[str, int], list[float]] = {}
    for turn in range(rounds + 1):
        for size in sizes:
            tell(f"role with {size} task{'s' if size > 1 else ''}: {f'{turn} of {rounds}' if turn else 'warming up'}")
            for system in systems:
                wall, cpu = await _run_once(session, watches[size], system, size, turn)
                if turn:
                    walls.setdefault((system.name, size), []).append(wall)
                    cpus.setdefault((system.name, size), []).append(cpu)
    for system in systems:
        for what, unit, values in (("run", Unit.SECONDS, walls), ("CPU", Unit.CPU_SECONDS, cpus)):
            points = [(float(size), median(values[system.name, size])) for size in sizes]
            _add(session.figures, system.name, what, unit, points, rounds)


def _add(
    figures: Figures, system: str, what: str, unit: Unit, points: Sequence[tuple[float, float]], rounds: int
) -> None:
    for size, value in points:
        tasks = "1 task" if size == 1 else f"{size:.0f} tasks"
        figures.add(Section.NOOP, f"{what}, {tasks}", unit, system, value, rounds)
    line = fit_line(points)
    note = "of the line with the least squared error through the medians"
    figures.add(Section.NOOP, f"{what}, fixed part", unit, system, line.fixed, rounds, note)
    figures.add(Section.NOOP, f"{what}, each task (k8s_info)", unit, system, line.each, rounds, note)


async def _run_once(session: Session, watch: ObjectWatch, system: System, size: int, turn: int) -> tuple[float, float]:
    """Return the run's own time and the tree's CPU time."""
    await system.tree.settle()
    before, cpu = await system.scrape(), system.tree.cpu_seconds()
    key = ObjectKey(system.namespace, "noop")
    collection = definitions.noop_path(size, system.namespace)
    if turn == 0:
        wanted = await session.client.create(collection, definitions.noop_object(size, key.name, turn))
    else:
        wanted = await session.client.patch(f"{collection}/{key.name}", {"spec": {"turn": turn}})
    await watch.expect([key], observed(generation(wanted))).within(_PATIENCE)
    await system.tree.settle()
    after = await system.scrape()
    seconds = after.mean_since(before, RUN_DURATION.name, controller=definitions.noop_controller(size))
    if seconds is None:
        raise RuntimeError(f"{system.name} counted no run of the role with {size} tasks")
    return seconds, system.tree.cpu_seconds() - cpu
