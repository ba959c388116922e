"""One operator under test: how it is started, and what it costs. ``suite`` starts them; every measurement is of one."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from reconcile_runner.options import EngineName
from tools.bench import definitions
from tools.bench.cost import ProcessTree
from tools.bench.directoperator import KUBECONFIG_VARIABLE
from tools.bench.scrape import Scrape
from tools.bench.session import Session
from tools.testing.operator import PROGRAM, OperatorProcess, OperatorProcessError, operator, started

WORKERS = 2
"""Objects of one kind that are reconciled at a time, by every system."""

PEER = "peer"

_READY_PATIENCE = 120.0
_LAST_LINES = 3
"""Lines of its log that are shown when a system ends by itself."""
_FACTS_OFF = {"ANSIBLE_GATHERING": "explicit"}


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SystemSpec:
    """An operator that can be started: one of this repository's engines, or another operator's ``program``.

    ``engine``: whose name is not the system's; its runs go round the proxy (``directoperator``).
    """

    name: str
    program: Path | None = None
    engine: EngineName | None = None

    @property
    def is_peer(self) -> bool:
        """Tell whether it is another operator: without triggers and without our metrics."""
        return self.program is not None


DIRECT = SystemSpec("direct", engine=EngineName.FORKSERVER)
"""The fork server, without the proxy."""


def own_engines() -> tuple[SystemSpec, ...]:
    """Return this repository's engines, the plain one first."""
    return tuple(SystemSpec(str(engine)) for engine in sorted(EngineName, key=_is_fast))


def _is_fast(engine: EngineName) -> bool:
    return engine is not EngineName.SUBPROCESS


@dataclass(frozen=True, slots=True)
class System:
    """A running operator, which sees one namespace. ``started_at`` is in ``time.monotonic``'s seconds."""

    spec: SystemSpec
    namespace: str
    process: OperatorProcess
    tree: ProcessTree
    started_at: float

    @property
    def name(self) -> str:
        """Return what its figures are filed under."""
        return self.spec.name

    async def while_alive(self, work: Coroutine[None, None, T]) -> T:
        """Do ``work`` that needs the system. Raises ``OperatorProcessError`` where the system ends first."""
        ended = asyncio.Event()
        descriptor = os.pidfd_open(self.process.process.pid)
        asyncio.get_running_loop().add_reader(descriptor, ended.set)
        working = asyncio.create_task(work, name=f"bench needs {self.name}")
        ending = asyncio.create_task(ended.wait(), name=f"end of {self.name}")
        try:
            await asyncio.wait({working, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                code = await asyncio.to_thread(self.process.stop)
                last = "; ".join(str(line.get("error") or line["msg"]) for line in self.process.lines[-_LAST_LINES:])
                raise OperatorProcessError(f"{self.name} ended with {code}: {last}")
            return working.result()
        finally:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)
            for task in (working, ending):
                task.cancel()
            await asyncio.gather(working, ending, return_exceptions=True)

    async def scrape(self) -> Scrape:
        """Read its metrics. Not for peers."""
        return Scrape.parse(await asyncio.to_thread(self.process.metrics))

    async def wait_ready(self) -> float:
        """Wait until ``/readyz`` says ok; return the seconds since its start. Not for peers."""
        while (await asyncio.to_thread(self.process.probe, "/readyz")) != (200, "ok"):
            if time.monotonic() - self.started_at > _READY_PATIENCE:
                raise TimeoutError(f"{self.name} was not ready within {_READY_PATIENCE:.0f} s: {self.process.text()}")
            await asyncio.sleep(0.02)
        return time.monotonic() - self.started_at


@contextmanager
def running(spec: SystemSpec, session: Session, namespace: str) -> Iterator[System]:
    """Run a system that sees ``namespace`` alone, so that several work side by side on one API server."""
    env = {"WATCH_NAMESPACE": namespace, **_FACTS_OFF}
    workers = ("--max-concurrent-reconciles", str(WORKERS))
    begun = time.monotonic()
    if spec.program is not None:
        watches = definitions.write_peer_watches(session.directory)
        command = [str(spec.program), "run", "--watches-file", str(watches), *workers]
        command += ["--metrics-bind-address", "0", "--health-probe-bind-address", "0"]
        context = started(command, {**env, "KUBECONFIG": str(session.kubeconfig)})
    else:
        flags = ("--engine", str(spec.engine or spec.name), "--graceful-shutdown-timeout", "1s", *workers)
        watches = session.directory / "watches.yaml"
        program = (*PROGRAM[:2], "tools.bench.directoperator") if spec.engine else PROGRAM
        env[KUBECONFIG_VARIABLE] = str(session.kubeconfig)
        context = operator(session.kubeconfig, watches, flags=flags, env=env, program=program)
    with context as process:
        yield System(spec, namespace, process, ProcessTree(process.process.pid), begun)
