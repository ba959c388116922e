"""Leases of an API server in memory, and the lines to it that several operators hold, each with its own faults."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from typing import TypeVar

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.client import ACCEPT_JSON, PatchBody, PatchType, WatchEvent, WatchEventType
from reconcile_runner.errors import ApiUnreachableError, ForbiddenError
from tests.support.fakes.client import FakeClient

NAMESPACE, NAME = "shop", "my-operator"
LEASES = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
LEASE = f"{LEASES}/{NAME}"

_T = TypeVar("_T")


class LeaseServer(FakeClient):
    """A ``FakeClient`` whose watches tell of every change."""

    @property
    def lease(self) -> KubeObject:
        return self.objects[LEASE]

    @property
    def spec(self) -> KubeObject:
        found: KubeObject = self.lease["spec"]
        return found

    def write(self, **spec: object) -> None:
        """Write the Lease as somebody else does, whatever its holder."""
        old = self.objects.get(LEASE, {"metadata": {"name": NAME, "namespace": NAMESPACE}})
        self._store(LEASE, {**old, "spec": {**old.get("spec", {}), **spec}})

    def remove(self) -> None:
        """Delete the Lease as somebody with kubectl does."""
        self._tell(WatchEventType.DELETED, self.objects.pop(LEASE))

    def _store(self, path: str, obj: KubeObject) -> KubeObject:
        known = path in self.objects
        stored = super()._store(path, obj)
        self._tell(WatchEventType.MODIFIED if known else WatchEventType.ADDED, stored)
        return stored

    def _tell(self, event_type: WatchEventType, obj: KubeObject) -> None:
        for watch in self.watches:
            if not watch.closed:
                watch.send(event_type, obj)


class Weather(enum.StrEnum):
    """What becomes of a request."""

    FINE = "fine"
    REFUSED = "refused"
    SILENT = "silent"
    """It does not arrive, and nobody says so."""
    DEAF = "deaf"
    """It arrives, but its answer does not."""


class Line:
    """Implements ``ApiClient``: one operator's line to the server. ``weather`` is the test's."""

    def __init__(self, server: LeaseServer, *, may_watch: bool = True) -> None:
        self.server = server
        self.weather = Weather.FINE
        self.may_watch = may_watch

    async def get(self, path: str, params: Mapping[str, str] | None = None, *, accept: str = ACCEPT_JSON) -> KubeObject:
        return await self._through(self.server.get(path, params, accept=accept))

    async def etag(self, path: str, *, accept: str, known: str = "") -> str:
        return await self._through(self.server.etag(path, accept=accept, known=known))

    async def create(self, path: str, body: KubeObject, *, params: Mapping[str, str] | None = None) -> KubeObject:
        return await self._through(self.server.create(path, body, params=params))

    async def update(self, path: str, body: KubeObject) -> KubeObject:
        return await self._through(self.server.update(path, body))

    async def patch(
        self,
        path: str,
        body: PatchBody,
        *,
        patch_type: PatchType = PatchType.MERGE,
        params: Mapping[str, str] | None = None,
    ) -> KubeObject:
        return await self._through(self.server.patch(path, body, patch_type=patch_type, params=params))

    async def delete(self, path: str, *, params: Mapping[str, str] | None = None) -> KubeObject:
        return await self._through(self.server.delete(path, params=params))

    async def watch(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        accept: str = ACCEPT_JSON,
        stall_timeout: float = 70.0,
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[WatchEvent, None]:
        if not self.may_watch:
            raise ForbiddenError(403, "Forbidden", "may not watch leases")
        if self.weather is not Weather.FINE:
            raise ApiUnreachableError("no answer")
        async for event in self.server.watch(path, params, accept=accept, on_open=on_open):
            if self.weather is not Weather.FINE:
                raise ApiUnreachableError("cut")
            yield event

    async def _through(self, request: Coroutine[None, None, _T]) -> _T:
        if self.weather in (Weather.REFUSED, Weather.SILENT):
            request.close()
            if self.weather is Weather.REFUSED:
                raise ApiUnreachableError("connection refused")
            await asyncio.Event().wait()
        answer = await request
        if self.weather is Weather.DEAF:
            await asyncio.Event().wait()
        return answer


class FakeDeadlineTimer:
    """Implements ``leaderelection.deadline.DeadlineTimer``: remembers when it would have ended the process."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self.ends_at: float | None = None
        self.runs_end_at: float | None = None

    def set(self, end_runs_in: float, end_in: float, kill_in: float) -> None:
        assert end_runs_in < end_in < kill_in
        self.runs_end_at = self._monotonic() + end_runs_in
        self.ends_at = self._monotonic() + kill_in

    def cancel(self) -> None:
        self.ends_at = None
