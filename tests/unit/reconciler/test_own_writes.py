"""What the operator and its run write starts no run; what somebody else writes in between does.

Every interleaving of the operator's writes with one or two edits is tried, on kinds with and without the status
subresource, with watch events that come before the answer to the write, late, or only as a list.
"""

from __future__ import annotations

import asyncio
import copy
import enum
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.client import PatchBody, PatchType
from reconcile_runner.controller.controller import Controller, ControllerOptions
from reconcile_runner.controller.source import KindSource, Primary
from reconcile_runner.controller.workqueue import WorkQueue
from reconcile_runner.execution.job import Job, RunResult
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.metrics import Metrics
from reconcile_runner.reconciler.objectwriter import RUNNING_DELAY
from reconcile_runner.watches.watch import Finalizer, Watch
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import settle
from tests.support.fakes.engine import SUCCESS, FakeEngine
from tests.support.fakes.reconcilerbench import FAILURE, GVK, KEY, PATH, Bench, bench

OWN_WRITES = 4
"""The finalizer, ``Running``, what the role writes, the verdict."""

LONG = 60.0
"""Seconds in which everything that is to happen has happened; the periodic run is later."""


class Delivery(enum.StrEnum):
    """When the watch shows a write."""

    EARLY = "before the answer"
    LATE = "after the run"
    LISTED = "only the last state, in a list after the run"


class Edit(enum.StrEnum):
    """What somebody else changes."""

    SPEC = "spec"
    LABEL = "label"


@dataclass(frozen=True)
class Case:
    """One interleaving: ``edits`` has, for each edit, before or after which of the operator's writes it is made."""

    has_subresource: bool
    delivery: Delivery
    edits: tuple[tuple[Edit, int, bool], ...] = ()
    results: tuple[RunResult, ...] = (SUCCESS,)
    has_generation: bool = True

    def __str__(self) -> str:
        places = ",".join(f"{edit} {'before' if before else 'after'} {number}" for edit, number, before in self.edits)
        kind = "subresource" if self.has_subresource else "plain"
        return f"{kind}, {self.delivery}, {places or 'no edit'}, {len(self.results)} runs"


class Server(FakeClient):
    """An API server that counts generations as the real one does, and shows writes to a watch."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case
        self.on_write: Callable[[KubeObject], None] = lambda _: None
        self.edits: dict[tuple[int, bool], list[Edit]] = {}
        for edit, number, before in case.edits:
            self.edits.setdefault((number, before), []).append(edit)
        self._written = 0

    async def patch(
        self,
        path: str,
        body: PatchBody,
        *,
        patch_type: PatchType = PatchType.MERGE,
        params: Mapping[str, str] | None = None,
    ) -> KubeObject:
        number = self._written + 1
        self.make_edits(number, before=True)
        answer = await super().patch(path, body, patch_type=patch_type, params=params)
        self._written = max(self._written, number)
        self.make_edits(number, before=False)
        return answer

    def make_edits(self, number: int, *, before: bool) -> None:
        for edit in self.edits.pop((number, before), ()):
            new = copy.deepcopy(self.objects[PATH])
            if edit is Edit.SPEC:
                new["spec"]["size"] += 1
            else:
                new["metadata"].setdefault("labels", {})["edited"] = str(number)
            self._store(PATH, new)

    def _store(self, path: str, obj: KubeObject) -> KubeObject:
        before = self.objects.get(path)
        stored = super()._store(path, obj)
        if before is not None:
            aside = {"metadata", "status"} if self.case.has_subresource else {"metadata"}
            changed = any(before.get(name) != stored.get(name) for name in {*before, *stored} - aside)
            if self.case.has_generation:
                stored["metadata"]["generation"] = before["metadata"]["generation"] + changed
        self.on_write(copy.deepcopy(stored))
        return stored


class SizeReadingEngine(FakeEngine):
    """An engine that remembers which spec each run was given."""

    def __init__(self, results: tuple[RunResult, ...]) -> None:
        super().__init__(results, hold=True)
        self.sizes: list[int] = []

    async def run(self, job: Job, on_event: Callable[[JobEvent], None]) -> RunResult:
        self.sizes.append(json.loads((job.private_data_dir / "env" / "extravars").read_text())["size"])
        return await super().run(job, on_event)


@dataclass
class World:
    """An operator of one watch before a server, and a watch that delivers as the case says."""

    bench: Bench
    server: Server
    engine: SizeReadingEngine
    delivery: Delivery
    pending: list[KubeObject] = field(default_factory=list)

    def show(self, obj: KubeObject) -> None:
        if self.delivery is Delivery.EARLY:
            self.bench.store.upsert(obj)
        else:
            self.pending.append(obj)

    def deliver(self) -> None:
        """Show the watch what it has not shown yet."""
        pending, self.pending = self.pending, []
        if self.delivery is Delivery.LISTED and pending:
            self.bench.store.replace(pending[-1:])
            return
        for obj in pending:
            self.bench.store.upsert(obj)

    async def live_through_a_slow_run(self) -> None:
        await settle()
        await self.bench.clock.advance(RUNNING_DELAY)
        path = f"{PATH}/status" if self.server.case.has_subresource else PATH
        await self.server.patch(path, {"status": {"happy": True}})
        self.engine.release()
        await settle()
        self.deliver()
        for _ in range(4):  # what the first run started, and what that started
            await self.bench.clock.advance(LONG / 4)
            self.deliver()


@asynccontextmanager
async def operator(tmp_path: Path, case: Case) -> AsyncIterator[World]:
    server, engine = Server(case), SizeReadingEngine(case.results)
    finalizer = Finalizer("example.com/f", vars={"a": 1})
    made = bench(tmp_path, engine, client=server, has_subresource=case.has_subresource, finalizer=finalizer)
    world = World(made, server, engine, case.delivery)
    watch = Watch(GVK, finalizer=finalizer)
    queue = WorkQueue(watch.controller_name, made.clock, Metrics())
    informer = made.store.kind
    informer.add_event_handler(KindSource(Primary(watch, informer, queue), Metrics()).on_event)
    controller = Controller(GVK, queue, made.reconciler, Metrics(), made.clock, ControllerOptions())
    made.put(**({} if case.has_generation else {"generation": 0}))
    server.on_write = world.show
    running = asyncio.create_task(controller.run(), name="controller")
    try:
        yield world
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def _cases() -> Iterator[Case]:
    places = list(itertools.product(range(1, OWN_WRITES + 1), (True, False)))
    single = [((edit, *place),) for edit in Edit for place in places]
    double = [((Edit.SPEC, *one), (Edit.SPEC, *other)) for one, other in itertools.combinations(places, 2)]
    for has_subresource, delivery in itertools.product((True, False), Delivery):
        yield from (Case(has_subresource, delivery, edits) for edits in ((), *single, *double))
        yield from (Case(has_subresource, delivery, edits, (FAILURE, SUCCESS)) for edits in ((), *single))


@pytest.mark.parametrize("has_subresource", [True, False], ids=["subresource", "plain"])
@pytest.mark.parametrize("delivery", list(Delivery))
async def test_every_interleaving_of_own_writes_and_edits_runs_as_often_as_it_must(
    tmp_path: Path, has_subresource: bool, delivery: Delivery
) -> None:
    wrong = []
    cases = [each for each in _cases() if (each.has_subresource, each.delivery) == (has_subresource, delivery)]
    for number, case in enumerate(cases):
        async with operator(tmp_path / str(number), case) as world:
            await world.live_through_a_slow_run()
            wrong += [f"{case}: {problem}" for problem in _problems(world, case)]
    assert wrong == []


@pytest.mark.parametrize("has_subresource", [True, False], ids=["subresource", "plain"])
@pytest.mark.parametrize("delivery", list(Delivery))
async def test_a_kind_without_generations_runs_for_each_edit_and_once_more_for_what_the_role_wrote(
    tmp_path: Path, has_subresource: bool, delivery: Delivery
) -> None:
    """Nobody can tell a role's first write of a status from another's. It writes the same again, which is no write."""
    wrong = []
    edits = ((), *(((edit, number, True),) for edit in Edit for number in range(1, OWN_WRITES + 1)))
    for number, edit in enumerate(edits):
        case = Case(has_subresource, delivery, edit, has_generation=False)
        async with operator(tmp_path / str(number), case) as world:
            await world.live_through_a_slow_run()
            wrong += [f"{case}: {problem}" for problem in _problems(world, case)]
    assert wrong == []


def _problems(world: World, case: Case) -> Iterator[str]:
    live, runs = world.server.objects[PATH], len(world.engine.sizes)
    counted = [edit for edit, _, _ in case.edits if edit is Edit.SPEC or not case.has_generation]
    least, most = len(case.results), len(case.results) + len(counted) + (not case.has_generation)
    if not least <= runs <= most:
        yield f"{runs} runs, expected {least} to {most}"
    if world.engine.sizes[-1] != live["spec"]["size"]:
        yield f"the last run had size {world.engine.sizes[-1]}, the object has {live['spec']['size']}"
    ready, generation = world.bench.condition("Ready"), live["metadata"]["generation"]
    if not case.has_generation:
        if ready.get("status") != "True":
            yield f"Ready is {ready}"
        return
    if ready.get("status") != "True" or ready["observedGeneration"] != generation:
        yield f"Ready is {ready}, the generation {generation}"
    if live["status"]["observedGeneration"] != generation:
        yield f"{live['status']['observedGeneration']} is observed, the generation is {generation}"
    if world.bench.store.kind.get(KEY) is None:
        yield "the object is not cached"
