"""A process that runs a job and says when it has come to the task given; a test kills it then, as a node might."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from runner.execution import JobEvent, SubprocessEngine
from tests.integration.jobs import make_job


async def main(root: Path, project: str, nap: str, task: str) -> None:
    def tell(event: JobEvent) -> None:
        if event.task == task:
            print(task, flush=True)  # noqa: T201

    engine = SubprocessEngine()
    await engine.start()
    await engine.run(make_job(root, project, {"nap": nap}), tell)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
