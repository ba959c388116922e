"""An engine whose role is Python: it does through the proxy what a role does, in milliseconds.

For tests of everything but Ansible, by the thousand. The role finds its Foo a friend: ``status.happy`` is whether the
Pod exists, and a ConfigMap of the Foo's name, which belongs to it, says whose friend it is. Where ``state`` is
``absent``, as a finalizer has it, it leaves a note instead.
"""

from __future__ import annotations

import asyncio
import http
import json
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from reconcile_runner.errors import ExecutionError
from reconcile_runner.execution.job import Job, RunResult, RunStats, RunStatus
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator

MERGE = {"Content-Type": "application/merge-patch+json"}
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
    """One run of the role: its HTTP client, its variables."""

    def __init__(self, session: aiohttp.ClientSession, access: dict[str, Any], inputs: dict[str, Any]) -> None:
        meta = inputs["ansible_operator_meta"]
        self.name, self._namespace = str(meta["name"]), str(meta["namespace"])
        self._friend, self._is_absent = str(inputs["name"]), inputs.get("state") == "absent"
        self._server = access["clusters"][0]["cluster"]["server"]
        self._headers = {"Authorization": f"Bearer {access['users'][0]['user']['token']}"}
        self._session = session

    async def run(self) -> None:
        if self._is_absent:
            await self._keep_config_map(f"{GONE}{self.name}")
            return
        pods = f"/api/v1/namespaces/{self._namespace}/pods/{self._friend}"
        status = await self._call("GET", pods, expected=(http.HTTPStatus.OK, http.HTTPStatus.NOT_FOUND))
        await self._keep_config_map(self.name)
        foo = f"/apis/tutorial.my.domain/v1/namespaces/{self._namespace}/foos/{self.name}/status"
        body = {"status": {"happy": status == http.HTTPStatus.OK}}
        # The object may have been deleted meanwhile.
        await self._call("PATCH", foo, body, MERGE, expected=(http.HTTPStatus.OK, http.HTTPStatus.NOT_FOUND))

    async def _keep_config_map(self, name: str) -> None:
        path = f"/api/v1/namespaces/{self._namespace}/configmaps"
        data = {"friend": self._friend}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
        created = await self._call("POST", path, body, expected=(http.HTTPStatus.CREATED, http.HTTPStatus.CONFLICT))
        if created == http.HTTPStatus.CONFLICT:
            expected = (http.HTTPStatus.OK, http.HTTPStatus.NOT_FOUND)
            await self._call("PATCH", f"{path}/{name}", {"data": data}, MERGE, expected=expected)

    async def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        *,
        expected: tuple[http.HTTPStatus, ...],
    ) -> int:
        sent = {**self._headers, **(headers or {})}
        async with self._session.request(method, self._server + path, json=body, headers=sent) as answer:
            if answer.status not in expected:
                raise ExecutionError(f"{method} {path}: {answer.status} {await answer.text()}")
            return answer.status


def _read(directory: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    inputs = json.loads((directory / "env" / "extravars").read_text(encoding="utf-8"), object_hook=_without_marks)
    return inputs, json.loads((directory / "kubeconfig").read_text(encoding="utf-8"))


def _without_marks(value: dict[str, Any]) -> Any:
    """Return what Ansible makes of a value that is marked as data."""
    return value["__ansible_unsafe"] if set(value) == {"__ansible_unsafe"} else value


def _implements(engine: StubEngine) -> Engine:
    return engine
