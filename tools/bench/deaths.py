"""How long anything of a run lives when its client, or the operator, is killed by SIGKILL in the middle of it."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from reconcile_runner.apimachinery.objects import ObjectKey
from reconcile_runner.options import EngineName
from tools.bench import definitions
from tools.bench.cost import ProcessTree
from tools.bench.report import Section, Unit
from tools.bench.session import Session, tell
from tools.testing.operator import eventually, operator

_PATIENCE = 60.0
_ENGINE = str(EngineName.FORKSERVER)
_CLIENT = b"/client"
"""What ends the path of the program that ansible-runner starts (``reconcile_runner.execution.forkserver.client``)."""

_NOTE = "the slowest; nothing: no process that was there, of the run or, for the operator, of all of it"


async def measure(session: Session, rounds: int) -> None:
    """Kill either one in ``rounds`` runs of a role that sleeps, by operators of their own."""
    watches = definitions.write_sleeping_watches(session.directory)
    for victim in ("client", "operator"):
        seconds = []
        for number in range(rounds):
            tell(f"killing the {victim} of a run: {number + 1} of {rounds}")
            seconds.append(await _kill_one(session, watches, of_client=victim == "client"))
        what = f"{victim} killed: until nothing is alive"
        session.figures.add(Section.DEATH, what, Unit.SECONDS, _ENGINE, max(seconds), rounds, _NOTE)


async def _kill_one(session: Session, watches: Path, *, of_client: bool) -> float:
    """Return the seconds from the signal until the last process has ended."""
    namespace = session.new_name("death")
    await session.create_namespace(namespace)
    env = {"WATCH_NAMESPACE": namespace, "ANSIBLE_GATHERING": "explicit"}
    with operator(session.kubeconfig, watches, flags=("--engine", _ENGINE), env=env) as process:
        await asyncio.to_thread(process.wait_ready)
        tree = ProcessTree(process.process.pid)
        await tree.settle()
        idle = tree.pids()
        await session.create_foo(ObjectKey(namespace, "sleeper"))
        await asyncio.to_thread(eventually, lambda: _sleeps(tree), "the role to sleep")
        run = tree.pids() - idle
        doomed = run if of_client else tree.pids()
        victim = next(filter(_is_client, run)) if of_client else process.process.pid
        return await asyncio.to_thread(_kill, victim, doomed)


def _sleeps(tree: ProcessTree) -> bool:
    return any(_command(pid)[:2] == [b"sleep", definitions.SLEEP.encode()] for pid in tree.pids())


def _is_client(pid: int) -> bool:
    return any(word.endswith(_CLIENT) for word in _command(pid))


def _command(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


def _kill(victim: int, doomed: Iterable[int]) -> float:
    """Kill one process and wait until none of the others is alive. Raises ``TimeoutError`` with the ones that are."""
    alive = {os.pidfd_open(pid): pid for pid in doomed}
    waiting = select.poll()
    for descriptor in alive:
        waiting.register(descriptor, select.POLLIN)
    begun = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    try:
        while alive:
            ended = waiting.poll(_PATIENCE * 1000)
            if not ended:
                raise TimeoutError(f"still alive after {_PATIENCE:.0f} s: {sorted(alive.values())}")
            for descriptor, _ in ended:
                waiting.unregister(descriptor)
                os.close(descriptor)
                del alive[descriptor]
        return time.monotonic() - begun
    finally:
        for descriptor in alive:
            os.close(descriptor)
