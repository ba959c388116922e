"""An engine whose runs talk to the API server themselves, so that the proxy's cost shows beside the ordinary way.

``directoperator`` hands it to the manager. The operator is otherwise as it is: proxy and tokens are there, unused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import yaml

from reconcile_runner.execution.job import Job, RunResult
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import Engine


class DirectEngine:
    """Implements ``Engine``: gives each run ``kubeconfig``, the text of another one, and has ``real`` run it."""

    def __init__(self, kubeconfig: bytes, real: Engine) -> None:
        self._kubeconfig = kubeconfig
        self._server = str(yaml.safe_load(kubeconfig)["clusters"][0]["cluster"]["server"])
        self._real = real

    async def start(self) -> None:
        """Start the real engine."""
        await self._real.start()

    async def run(self, job: Job, on_event: Callable[[JobEvent], None]) -> RunResult:
        """Run a job with the other kubeconfig in the place of its own."""
        await asyncio.to_thread(_write, job.private_data_dir / "kubeconfig", self._kubeconfig)
        api = replace(job.api, url=self._server) if job.api else None
        return await self._real.run(replace(job, api=api), on_event)

    async def end_remains(self, private_data_dir: Path) -> None:
        """End what runs have left, in the real engine."""
        await self._real.end_remains(private_data_dir)

    async def stop(self) -> None:
        """Stop the real engine."""
        await self._real.stop()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
