"""Writes to the objects of one watch: the status, and the finalizer's name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from reconcile_runner.apimachinery.objects import KubeObject, ObjectKey, generation, key_of, uid
from reconcile_runner.client import ApiClient
from reconcile_runner.client.discovery import Discovery, Resource
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ApiError, ApiUnreachableError, KindNotFoundError
from reconcile_runner.execution.job import RunResult
from reconcile_runner.logs import get_logger
from reconcile_runner.metrics import Metrics, Phase
from reconcile_runner.reconciler.finalizer import FinalizerKeeper
from reconcile_runner.reconciler.status import StatusUpdate, StatusWriter, UpdateFor, Written, status_style_for
from reconcile_runner.reconciler.status.conditions import judged_generation
from reconcile_runner.reconciler.statusretries import StatusRetries, is_refusal
from reconcile_runner.watches.watch import Watch

RUNNING_DELAY: Final = 1.0
"""Seconds: a run shorter than this never writes ``Running``, so a quick run costs one status write at most."""

_log = get_logger(__name__)


class ObjectWriter:
    """Writes results to the objects of one watch.

    The watch chooses the style of conditions. Methods raise ``ApiError`` or ``ApiUnreachableError`` where the API
    server does not take a write; a status that it refuses is left to ``retries``. An object whose kind the API server
    no longer serves is gone.
    """

    def __init__(
        self,
        watch: Watch,
        client: ApiClient,
        discovery: Discovery,
        metrics: Metrics,
        retries: StatusRetries,
        clock: Clock,
    ) -> None:
        self._watch = watch
        self._discovery = discovery
        self._metrics = metrics
        self._retries = retries
        self._clock = clock
        self._style = status_style_for(watch)
        self._status = StatusWriter(client, clock)
        self._finalizers = FinalizerKeeper(client)

    @asynccontextmanager
    async def running(self, obj: KubeObject) -> AsyncIterator[None]:
        """Write ``Running`` once the block has taken ``RUNNING_DELAY``.

        In upstream's style it is written before the block. A write that fails is logged.
        """
        self._retries.drop(self._watch.controller_name, key_of(obj))
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

        def update(run_generation: int) -> StatusUpdate:
            return self._style.succeeded(run_generation, result)

        return await self._write_result(obj, update)

    async def write_failure(
        self, obj: KubeObject, message: str, result: RunResult | None, *, is_final: bool
    ) -> Written:
        """Write why a run of the object failed.

        ``result`` is None where nothing was run. ``is_final``: it is not tried again before something changes.
        """

        def update(run_generation: int) -> StatusUpdate:
            return self._style.failed(run_generation, message, result, is_final=is_final)

        return await self._write_result(obj, update)

    def forget(self, key: ObjectKey) -> None:
        """Forget an object that is gone."""
        self._retries.drop(self._watch.controller_name, key)
        self._status.forget(key)

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
            resource = await self._resource()
            if resource is not None and self._announces(resource, obj):
                update = partial(self._style.running, is_judged=self._status.is_judged(obj))
                await self._status.write(resource, obj, update, is_verdict=False)
        except (ApiError, ApiUnreachableError) as error:
            _log.warning("the status cannot be written", error=str(error))

    def _announces(self, resource: Resource, obj: KubeObject) -> bool:
        """Tell whether a run of the object is announced.

        Without the status subresource each write is a new generation, for which there would be no verdict during each
        periodic run.
        """
        if "status" in resource.subresources or self._style.announces_every_run:
            return True
        return not self._status.is_judged(obj) and judged_generation(obj) != generation(obj)

    async def _write_result(self, obj: KubeObject, update: UpdateFor) -> Written:
        started = self._clock.monotonic()
        try:
            written = await self._write(obj, update)
        except (ApiError, ApiUnreachableError) as error:
            if not is_refusal(error):
                raise
            again = partial(self._write, obj, update)
            self._retries.refused(self._watch.controller_name, obj, error, again)
            written = Written.REFUSED
        self._metrics.phase_finished(self._watch.controller_name, Phase.STATUS, self._clock.monotonic() - started)
        return written

    async def _write(self, obj: KubeObject, update: UpdateFor) -> Written:
        resource = await self._resource()
        return await self._status.write(resource, obj, update) if resource else Written.GONE

    async def _resource(self) -> Resource | None:
        """Return the resource of the watch's kind.

        None where the kind is gone, and every object with it.
        """
        try:
            return await self._discovery.resource(self._watch.gvk)
        except KindNotFoundError:
            return None
