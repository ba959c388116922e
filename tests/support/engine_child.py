"""A process that runs a job and says when it has come to the task given; a test kills it then, as a node might."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from reconcile_runner import logs
from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from reconcile_runner.options import LogFormat, LogLevel
from tests.support.jobs import make_job


async def main(root: Path, project: str, nap: str, task: str) -> None:
    def tell(event: JobEvent) -> None:
        if event.task == task:
            print(task, flush=True)  # noqa: T201

    logs.set_up(LogFormat.JSON, LogLevel.INFO)  # on stderr: stdout is for the test
    forked = os.environ.get("ENGINE") == "forkserver"
    engine: Engine = ForkserverEngine() if forked else SubprocessEngine()
    await engine.start()
    await engine.run(make_job(root, project, {"nap": nap}), tell)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
