"""A process that runs a job and says when it has come to the task given; a test kills it then, as a node might.

With ``LEASE_SECONDS`` its runs have a deadline, as those of an operator with a lease. It moves that on by so many
seconds, ten times as often, and notes the time of day of the last one in the file ``deadline`` of its directory.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from reconcile_runner import logs
from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from reconcile_runner.execution.rundeadline import RunDeadline
from reconcile_runner.options import LogFormat, LogLevel
from tests.support.jobs import make_job


async def main(root: Path, project: str, nap: str, task: str) -> None:
    def tell(event: JobEvent) -> None:
        if event.task == task:
            print(task, flush=True)  # noqa: T201

    logs.set_up(LogFormat.JSON, LogLevel.INFO)  # on stderr: stdout is for the test
    forked = os.environ.get("ENGINE") == "forkserver"
    deadline = RunDeadline()
    engine: Engine = ForkserverEngine(deadline=deadline) if forked else SubprocessEngine(deadline=deadline)
    await engine.start()
    renewing = None
    if seconds := os.environ.get("LEASE_SECONDS"):
        extend(deadline, root / "deadline", float(seconds))  # nothing is run before a lease is held
        renewing = asyncio.create_task(renew(deadline, root / "deadline", float(seconds)), name="renewals")
    await engine.run(make_job(root, project, {"nap": nap, "signs": str(root / "signs")}), tell)
    if renewing is not None:
        renewing.cancel()


async def renew(deadline: RunDeadline, note: Path, seconds: float) -> None:
    while True:
        extend(deadline, note, seconds)
        await asyncio.sleep(seconds / 10)


def extend(deadline: RunDeadline, note: Path, seconds: float) -> None:
    deadline.extend(seconds)
    new = note.with_suffix(".new")
    new.write_text(str(time.time() + seconds))
    new.replace(note)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
