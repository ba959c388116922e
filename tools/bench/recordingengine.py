"""An engine that records instead of running, so that growth shows the operator's own cost and not Ansible's.

``recordingoperator`` hands it to the manager; ``growth`` reads what it records. The engine that it stands in for is
started all the same, so that its processes are there and their memory counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from reconcile_runner.errors import ConfigError
from reconcile_runner.execution.job import Job, RunResult, RunStats, RunStatus
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import Engine

REAL_PREFIX = "real-"
"""Objects whose names begin so are run by the real engine: its processes are then as they are after real runs."""


class RecordingEngine:
    """Implements ``Engine``: every run succeeds at once, and is told to the socket ``path`` as ``NAME SECONDS``.

    The seconds are ``time.monotonic``'s, which all processes of a machine share.
    """

    def __init__(self, path: Path, real: Engine) -> None:
        self._path = path
        self._real = real
        self._line: asyncio.StreamWriter | None = None

    async def start(self) -> None:
        """Start the real engine, and open the line to the bench."""
        try:
            _, self._line = await asyncio.open_unix_connection(self._path)
        except OSError as error:
            raise ConfigError(f"{self._path}: nobody listens: {error}") from error
        await self._real.start()

    async def run(self, job: Job, on_event: Callable[[JobEvent], None]) -> RunResult:
        """Record a job."""
        name = job.private_data_dir.name
        if name.startswith(REAL_PREFIX):
            return await self._real.run(job, on_event)
        if self._line is not None:
            self._line.write(f"{name} {time.monotonic()}\n".encode())
        return RunResult(RunStatus.SUCCESSFUL, RunStats(ok=1))

    async def end_remains(self, private_data_dir: Path) -> None:
        """End what real runs have left."""
        await self._real.end_remains(private_data_dir)

    async def stop(self) -> None:
        """Close the line, and stop the real engine."""
        if self._line is not None:
            self._line.close()
            with contextlib.suppress(OSError):
                await self._line.wait_closed()
        await self._real.stop()
