"""An engine whose role is Python: it does through the proxy what a role does, in milliseconds.

For tests of everything but Ansible, by the thousand. The role finds its Foo a friend: ``status.happy`` is whether the
Pod exists, and a ConfigMap of the Foo's name, which belongs to it, says whose friend it is. Where ``state`` is
``absent``, as a finalizer has it, it leaves a note instead.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp

from reconcile_runner.errors import ExecutionError
from reconcile_runner.execution.job import Job, RunResult, RunStats, RunStatus
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import Engine
from tests.support.operator_process import foo_path
from tests.support.proxying import Answer, Run

GONE = "gone-"
"""What the name of a finalizer's note begins with; the rest is the Foo's."""


class Ledger:
    """What all engines of a test have run. ``overlaps`` are objects of which two runs went on at once."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self.overlaps: list[str] = []
        self._running: Counter[str] = Counter()

    @contextmanager
    def run_of(self, name: str) -> Iterator[None]:
        self.runs[name] += 1
        self._running[name] += 1
        if self._running[name] > 1:
            self.overlaps.append(name)
        try:
            yield
        finally:
            self._running[name] -= 1

    @property
    def is_quiet(self) -> bool:
        return not any(self._running.values())


class StubEngine:
    """Implements ``Engine``."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession()

    async def run(self, job: Job, on_event: Callable[[JobEvent], None]) -> RunResult:
        inputs, access = await asyncio.to_thread(_read, job.private_data_dir)
        assert self._session is not None
        role = _Role(self._session, access, inputs)
        with self._ledger.run_of(role.name):
            try:
                await role.run()
            except aiohttp.ClientError as error:
                raise ExecutionError(f"the role cannot reach its API server: {error}") from error
        return RunResult(RunStatus.SUCCESSFUL, RunStats(ok=3))

    async def end_remains(self, private_data_dir: Path) -> None:
        """Nothing outlives these runs."""

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()


class _Role:
    """One run of the role: its client, its variables."""

    def __init__(self, session: aiohttp.ClientSession, access: dict[str, Any], inputs: dict[str, Any]) -> None:
        meta = inputs["ansible_operator_meta"]
        self.name, self._namespace = str(meta["name"]), str(meta["namespace"])
        self._friend, self._is_absent = str(inputs["name"]), inputs.get("state") == "absent"
        server, token = access["clusters"][0]["cluster"]["server"], access["users"][0]["user"]["token"]
        self._api = Run(server, token, session)

    async def run(self) -> None:
        if self._is_absent:
            await self._keep_config_map(f"{GONE}{self.name}")
            return
        found = await self._api.get(f"/api/v1/namespaces/{self._namespace}/pods/{self._friend}")
        _expect(found, HTTPStatus.OK, HTTPStatus.NOT_FOUND)
        await self._keep_config_map(self.name)
        happy = found.status == HTTPStatus.OK
        written = await self._api.merge(f"{foo_path(self._namespace, self.name)}/status", {"status": {"happy": happy}})
        _expect(written, HTTPStatus.OK, HTTPStatus.NOT_FOUND)  # the object may have been deleted meanwhile

    async def _keep_config_map(self, name: str) -> None:
        path, data = f"/api/v1/namespaces/{self._namespace}/configmaps", {"friend": self._friend}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        created = await self._api.post(path, body)
        _expect(created, HTTPStatus.CREATED, HTTPStatus.CONFLICT)
        if created.status == HTTPStatus.CONFLICT:
            _expect(await self._api.merge(f"{path}/{name}", {"data": data}), HTTPStatus.OK, HTTPStatus.NOT_FOUND)


def _expect(answer: Answer, *expected: HTTPStatus) -> None:
    if answer.status not in expected:
        raise ExecutionError(f"{answer.status}: {answer.body}")


def _read(directory: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    inputs = json.loads((directory / "env" / "extravars").read_text(encoding="utf-8"), object_hook=_without_marks)
    return inputs, json.loads((directory / "kubeconfig").read_text(encoding="utf-8"))


def _without_marks(value: dict[str, Any]) -> Any:
    """Return what Ansible makes of a value that is marked as data."""
    return value["__ansible_unsafe"] if set(value) == {"__ansible_unsafe"} else value


def _implements(engine: StubEngine) -> Engine:
    return engine
