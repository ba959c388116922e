"""How the operator's own cost grows with the number of Foos and Pods. Runs are recorded, not made.

Each size is measured by an operator that was started with that many objects in the cluster. Every Foo has a friend
among the Pods. An event is a further Pod of a friend's name, in another namespace; or one that no Foo asks for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median

from reconcile_runner.apimachinery.objects import ObjectKey
from tools.bench.cost import ProcessTree
from tools.bench.recordingengine import REAL_PREFIX
from tools.bench.recordingoperator import SOCKET_VARIABLE
from tools.bench.report import Section, Unit
from tools.bench.session import Session, for_each, friend_of, keys, tell
from tools.bench.stats import percentile
from tools.bench.system import WORKERS
from tools.bench.watching import ObjectWatch, happy_is
from tools.testing.operator import PROGRAM, operator

_PATIENCE = 600.0

_IDLE_WINDOW = 5.0
"""Seconds in which an operator that still writes Events, as few as it may, uses more than next to no CPU."""

_PERCENT = 100.0
_MS_PER_SECOND = 1000.0
_REAL_RUNS = 6
"""Foos that the real engine runs first, so that its processes are as they are after work."""

_NOBODY_TIMES = 5
"""These events cost so little that more of them are needed."""

_NAMESPACE = "growth"
_NOTE = "runs are recorded, not made: this is the operator's own cost"


class Recorder:
    """Hears of the runs that an operator records: by name, when the first came since ``forget``, and how many."""

    def __init__(self) -> None:
        self._times: dict[str, float] = {}
        self._count = 0
        self._news = asyncio.Condition()

    async def forget(self) -> None:
        """Begin again."""
        async with self._news:
            self._times.clear()
            self._count = 0

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take what one operator says until it hangs up."""
        while line := await reader.readline():
            name, seconds = line.split()
            async with self._news:
                self._times.setdefault(name.decode(), float(seconds))
                self._count += 1
                self._news.notify_all()
        writer.close()

    async def time_of(self, name: str) -> float:
        """Wait for a run of this name; return when it began."""
        async with asyncio.timeout(_PATIENCE), self._news:
            await self._news.wait_for(lambda: name in self._times)
            return self._times[name]

    async def wait_for_names(self, count: int) -> None:
        """Wait until so many objects were run."""
        async with asyncio.timeout(_PATIENCE), self._news:
            await self._news.wait_for(lambda: len(self._times) >= count)


@dataclass(frozen=True, slots=True)
class _Operator:
    tree: ProcessTree
    recorder: Recorder
    column: str
    session: Session

    def add(self, what: str, unit: Unit, value: float, samples: int = 1) -> None:
        """Note a figure of this size."""
        self.session.figures.add(Section.GROWTH, what, unit, self.column, value, samples, _NOTE)


@dataclass(frozen=True, slots=True)
class Extent:
    """``count`` Foos and as many Pods, ``already`` of which are there; ``events`` one by one; idle for so long."""

    already: int
    count: int
    events: int
    idle_seconds: float


async def measure(session: Session, extent: Extent) -> None:
    """Measure an operator with so many objects."""
    already, count, events = extent.already, extent.count, extent.events
    column = column_of(count)
    tell(f"creating Foos and Pods until there are {count:,} of each")
    foos = keys(_NAMESPACE, "foo", count)
    if not already:
        await session.create_namespace(_NAMESPACE)
    await for_each(foos[already:], session.create_foo)
    await for_each((ObjectKey(_NAMESPACE, friend_of(key)) for key in foos[already:]), session.create_pod)
    async with _recording_operator(session, column) as running:
        await _start_up(running, count)
        await _real_runs(session)
        tell(f"{column}: waiting until the operator has written its Events, 10 a second")
        await running.tree.settle(_PATIENCE, _IDLE_WINDOW)
        idle = await _idle(running, extent.idle_seconds)
        tell(f"{column}: one Pod event at a time")
        await _events(running, foos, events, idle)
        await _events_for_nobody(running, events * _NOBODY_TIMES, idle)


def column_of(count: int) -> str:
    """Return the name of a size's column."""
    return f"{count:,} Foos"


@asynccontextmanager
async def _recording_operator(session: Session, column: str) -> AsyncIterator[_Operator]:
    recorder, path = Recorder(), session.directory / session.new_name("record")
    server = await asyncio.start_unix_server(recorder.hear, path)
    env = {"ANSIBLE_GATHERING": "explicit", SOCKET_VARIABLE: str(path)}
    program = (*PROGRAM[:2], "tools.bench.recordingoperator")
    workers = ("--max-concurrent-reconciles", str(WORKERS))
    watches = session.directory / "watches.yaml"
    async with server:
        with operator(session.kubeconfig, watches, flags=workers, env=env, program=program) as process:
            yield _Operator(ProcessTree(process.process.pid), recorder, column, session)


async def _start_up(running: _Operator, count: int) -> None:
    begun = time.monotonic()
    await running.recorder.wait_for_names(count)
    running.add("start until every Foo was run", Unit.SECONDS, time.monotonic() - begun)
    await running.tree.settle(_PATIENCE)


async def _real_runs(session: Session) -> None:
    namespace = session.new_name("real")
    await session.create_namespace(namespace)
    watch = ObjectWatch(session.client, f"/apis/tutorial.my.domain/v1/namespaces/{namespace}/foos")
    task = asyncio.create_task(watch.run(), name="bench watch")
    try:
        real = keys(namespace, f"{REAL_PREFIX}foo", _REAL_RUNS)
        expected = watch.expect(real, happy_is(None))
        await for_each(real, session.create_foo)
        await expected.within(_PATIENCE)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _idle(running: _Operator, seconds: float) -> float:
    """Measure an operator that nothing happens to; return its CPU seconds per second."""
    before, begun = running.tree.cpu_seconds(), time.monotonic()
    await asyncio.sleep(seconds)
    share = (running.tree.cpu_seconds() - before) / (time.monotonic() - begun)
    running.add("idle CPU", Unit.PERCENT_OF_A_CORE, share * _PERCENT)
    running.add("memory (PSS, with the engine's processes)", Unit.MEGABYTES, running.tree.pss_megabytes())
    return share


async def _events(running: _Operator, foos: Sequence[ObjectKey], count: int, idle: float) -> None:
    before, first = running.tree.cpu_seconds(), time.monotonic()
    latencies: list[float] = []
    while len(latencies) < count:
        # Where there are fewer Foos than events, each gets another Pod of its friend's name, in another namespace.
        namespace = running.session.new_name("away")
        await running.session.create_namespace(namespace)
        await running.recorder.forget()
        for key in _spread(foos, count - len(latencies)):
            begun = time.monotonic()
            await running.session.create_pod(ObjectKey(namespace, friend_of(key)))
            latencies.append(await running.recorder.time_of(key.name) - begun)
    await running.tree.settle()
    cpu = running.tree.cpu_seconds() - before - idle * (time.monotonic() - first)
    what = "a Pod that a Foo asks for"
    running.add(f"{what}: CPU", Unit.CPU_MILLISECONDS, _MS_PER_SECOND * cpu / count, count)
    running.add(f"{what}: event -> run, median", Unit.SECONDS, median(latencies), count)
    running.add(f"{what}: event -> run, p99", Unit.SECONDS, percentile(latencies, 99), count)


async def _events_for_nobody(running: _Operator, count: int, idle: float) -> None:
    namespace = running.session.new_name("nobody")
    await running.session.create_namespace(namespace)
    before, first = running.tree.cpu_seconds(), time.monotonic()
    for key in keys(namespace, "nobody", count):
        await running.session.create_pod(key)
    await running.tree.settle()
    cpu = running.tree.cpu_seconds() - before - idle * (time.monotonic() - first)
    running.add("a Pod that no Foo asks for: CPU", Unit.CPU_MILLISECONDS, _MS_PER_SECOND * cpu / count, count)


def _spread(foos: Sequence[ObjectKey], count: int) -> Sequence[ObjectKey]:
    """Return ``count`` of the Foos, evenly spread, each once; all where there are fewer."""
    count = min(count, len(foos))
    return [foos[number * len(foos) // count] for number in range(count)]
