"""Start-up where many Foos exist already: until ready, until all have their status, and a change in the midst of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from tools.bench.report import Section, Unit
from tools.bench.session import Session, for_each, keys, tell
from tools.bench.single import time_to_happy
from tools.bench.system import SystemSpec, running
from tools.bench.watching import ObjectWatch, happy_is

PATIENCE = 900.0


@dataclass(frozen=True, slots=True)
class Extent:
    """``existing`` Foos, ``changes`` of single ones during the start; ``to_the_end`` waits until all were run."""

    existing: int
    changes: int
    to_the_end: bool


async def measure(session: Session, foos: ObjectWatch, spec: SystemSpec, extent: Extent) -> None:
    """Start a system on a namespace of its own in which the Foos exist."""
    namespace = f"startup-{spec.name}"
    await session.create_namespace(namespace)
    existing = keys(namespace, "existing", extent.existing)
    await for_each(existing, session.create_foo)
    tell(f"start-up of {spec.name} with {extent.existing} Foos")
    first, all_of_them = foos.expect(existing[:1], happy_is(None)), foos.expect(existing, happy_is(None))
    with running(spec, session, namespace) as system:
        ready = await system.wait_ready()
        await first.within(PATIENCE)
        # Foos from the end of the line: without a priority for changes they would wait for all the others.
        changed = existing[-extent.changes :]
        latencies = [await time_to_happy(session, foos, key) for key in changed]
        if extent.to_the_end:
            ended = max((await all_of_them.within(PATIENCE)).values()) - system.started_at
            _add(session, extent, "until all have their status", spec.name, [ended])
    _add(session, extent, "until ready", spec.name, [ready])
    _add(session, extent, "Pod created meanwhile -> happy, median", spec.name, latencies)
    _add(session, extent, "Pod created meanwhile -> happy, worst", spec.name, [max(latencies)])


def _add(session: Session, extent: Extent, what: str, system: str, values: Sequence[float]) -> None:
    name = f"{extent.existing} Foos: {what}"
    session.figures.add(Section.STARTUP, name, Unit.SECONDS, system, median(values), len(values))
