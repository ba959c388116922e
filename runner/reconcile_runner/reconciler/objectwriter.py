"""Writes to the objects of one watch: the status, and the finalizer's name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from reconcile_runner.apimachinery.objects import KubeObject, generation, key_of, uid
from reconcile_runner.client import ApiClient
from reconcile_runner.client.discovery import Discovery, Resource
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ApiError, ApiUnreachableError, KindNotFoundError
from reconcile_runner.execution.job import RunResult
from reconcile_runner.logs import get_logger
from reconcile_runner.metrics import Metrics, Phase
from reconcile_runner.reconciler.finalizer import FinalizerKeeper
from reconcile_runner.reconciler.status import StatusUpdate, StatusWriter, Written, status_style_for
from reconcile_runner.watches.watch import Watch

RUNNING_DELAY: Final = 1.0
"""Seconds: a run shorter than this never writes ``Running``, so a quick run costs one status write at most."""

_log = get_logger(__name__)


class ObjectWriter:
    """Writes results to the objects of one watch.

    The watch chooses the style of conditions. Methods raise ``ApiError`` or ``ApiUnreachableError`` where the API
    server does not take a write. An object whose kind the API server no longer serves is gone.
    """

    def __init__(self, watch: Watch, client: ApiClient, discovery: Discovery, metrics: Metrics, clock: Clock) -> None:
        self._watch = watch
        self._discovery = discovery
        self._metrics = metrics
        self._clock = clock
        self._style = status_style_for(watch)
        self._status = StatusWriter(client, clock)
        self._finalizers = FinalizerKeeper(client)

    @asynccontextmanager
    async def running(self, obj: KubeObject) -> AsyncIterator[None]:
        """Write ``Running`` once the block has taken ``RUNNING_DELAY``.

        In upstream's style it is written before the block. A write that fails is logged.
        """
        if self._style.announces_every_run:
            await self._write_running(obj)
            yield
            return
        writing = asyncio.create_task(self._write_running_later(obj), name=f"write Running to {key_of(obj)}")
        try:
            yield
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def write_success(self, obj: KubeObject, result: RunResult) -> Written:
        """Write that a run of the object succeeded."""
        return await self._write_result(obj, self._style.succeeded(generation(obj), result))

    async def write_failure(self, obj: KubeObject, message: str, result: RunResult | None) -> Written:
        """Write why a run of the object failed; ``result`` is None where nothing was run."""
        return await self._write_result(obj, self._style.failed(generation(obj), message, result))

    async def add_finalizer(self, obj: KubeObject, name: str) -> KubeObject | None:
        """Put a name on the object and return the object as stored.

        None: it is gone, or is being deleted.
        """
        resource = await self._resource()
        return await self._finalizers.add(resource, key_of(obj), obj, name) if resource else None

    async def remove_finalizer(self, obj: KubeObject, name: str) -> bool:
        """Take a name off the object; False: its kind is gone."""
        resource = await self._resource()
        if resource is None:
            return False
        await self._finalizers.remove(resource, key_of(obj), uid(obj), name)
        return True

    async def _write_running_later(self, obj: KubeObject) -> None:
        await self._clock.sleep(RUNNING_DELAY)
        await self._write_running(obj)

    async def _write_running(self, obj: KubeObject) -> None:
        try:
            await self._write(obj, self._style.running(generation(obj)))
        except (ApiError, ApiUnreachableError) as error:
            _log.warning("the status cannot be written", error=str(error))

    async def _write_result(self, obj: KubeObject, update: StatusUpdate) -> Written:
        started = self._clock.monotonic()
        written = await self._write(obj, update)
        self._metrics.phase_finished(self._watch.controller_name, Phase.STATUS, self._clock.monotonic() - started)
        return written

    async def _write(self, obj: KubeObject, update: StatusUpdate) -> Written:
        resource = await self._resource()
        return await self._status.write(resource, key_of(obj), uid(obj), update) if resource else Written.GONE

    async def _resource(self) -> Resource | None:
        """Return the resource of the watch's kind.

        None where the kind is gone, and every object with it.
        """
        try:
            return await self._discovery.resource(self._watch.gvk)
        except KindNotFoundError:
            return None
