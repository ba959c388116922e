"""The reconciler: one request, one run of the watch's role, one status.

``controller`` calls ``reconcile`` with a request; named phases follow: fetch the object, see whether there is anything
to run, put the finalizer on it, run (``jobrunner``), conclude (``status``, ``recorder``, and ``finalizer`` at the end
of a deletion). The outcome goes back to ``controller``, which alone decides about retries.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from reconcile_runner.apimachinery.objects import KubeObject, generation, is_deleting, labels, uid
from reconcile_runner.cache.cache import Informer
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.clock import Clock
from reconcile_runner.controller.reconcile import Failed, Ignored, Outcome, Request, Succeeded
from reconcile_runner.errors import ApiError, ApiUnreachableError, ExecutionError, KindNotFoundError, RunLostError
from reconcile_runner.execution.job import RunResult
from reconcile_runner.logs import LogKey, get_logger
from reconcile_runner.metrics import Metrics, Phase
from reconcile_runner.reconciler.extravars import ExtraVarsError
from reconcile_runner.reconciler.finalizer import FinalizerKeeper, for_deletion, has_finalizer
from reconcile_runner.reconciler.jobrunner import JobRunner, RunSettings
from reconcile_runner.reconciler.status import Outcome as RunOutcome
from reconcile_runner.reconciler.status import StatusUpdate, StatusWriter, Written, last_outcome, style_of
from reconcile_runner.recorder import EventRecorder, Reason, Severity
from reconcile_runner.watches.annotations import AnnotationSettings, parse_annotations
from reconcile_runner.watches.watch import Watch

RUNNING_IS_NEWS_AFTER = 1.0
"""Seconds: a run shorter than this never writes ``Running``, so a quick run costs one status write at most."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Scribes:
    """Who writes what about objects to the API server."""

    status: StatusWriter
    finalizers: FinalizerKeeper
    recorder: EventRecorder


class AnsibleReconciler:
    """Reconciles the objects of one watch. Implements ``reconcile_runner.controller.reconcile.Reconciler``."""

    def __init__(
        self,
        watch: Watch,
        settings: RunSettings,
        cached: Informer,
        discovery: Discovery,
        scribes: Scribes,
        jobs: JobRunner,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._watch = watch
        self._finalizer = watch.finalizer.name if watch.finalizer else None
        self._deletion_watch = for_deletion(watch) if watch.finalizer else watch
        self._settings = settings
        self._cached = cached
        self._discovery = discovery
        self._scribes = scribes
        self._style = style_of(watch)
        self._jobs = jobs
        self._metrics = metrics
        self._clock = clock
        self._failing: set[Request] = set()

    async def reconcile(self, request: Request) -> Outcome:
        """Run the role for the object as the cache has it, and write down how that went."""
        obj = self._cached.get(request)
        if obj is None:
            self._forget(request)
            return Ignored("the object is gone")
        annotations = parse_annotations(obj)
        reason = self._reason_to_ignore(obj, annotations)
        if reason is not None:
            return Ignored(reason)
        if is_deleting(obj):
            if self._finalizer is None or not has_finalizer(obj, self._finalizer):
                return Ignored("the object is being deleted, and this watch has nothing to do about it")
            return await self._finalize(obj, request, annotations, self._finalizer)
        if self._finalizer is not None and not has_finalizer(obj, self._finalizer):
            try:
                guarded = await self._guard(obj, request, self._finalizer)
            except (ApiError, ApiUnreachableError) as error:
                message = f"the finalizer {self._finalizer} cannot be put on the object: {error}"
                return await self._conclude_failure(obj, request, message)
            if guarded is None:
                return Ignored("the object went away before its run")
            obj, annotations = guarded, parse_annotations(guarded)
        return await self._reconcile(obj, request, annotations)

    async def _reconcile(self, obj: KubeObject, request: Request, annotations: AnnotationSettings) -> Outcome:
        """Run what the watch names for an object that is to stay."""
        if annotations.error:
            return await self._conclude_failure(obj, request, annotations.error, retry=False)
        ended = await self._run(self._watch, obj, request, annotations)
        if not isinstance(ended, RunResult):
            return ended
        return await self._conclude_success(obj, request, ended, self._reconcile_period(annotations))

    def _reason_to_ignore(self, obj: KubeObject, annotations: AnnotationSettings) -> str | None:
        if not self._watch.selector.matches(labels(obj)):
            return "the selector does not match the object's labels"
        if annotations.is_paused:
            self._record(obj, Severity.NORMAL, Reason.PAUSED, "Nothing is run while the annotation says so")
            return "the object is paused"
        return None

    async def _guard(self, obj: KubeObject, request: Request, finalizer: str) -> KubeObject | None:
        """Put the finalizer on the object and return it; None where there is none any more that could be run for."""
        try:
            resource = await self._discovery.resource(self._watch.gvk)
        except KindNotFoundError:
            return None
        return await self._scribes.finalizers.add(resource, request, obj, finalizer)

    async def _finalize(
        self, obj: KubeObject, request: Request, annotations: AnnotationSettings, finalizer: str
    ) -> Outcome:
        """Run what is to run before the object may go, and let it go."""
        ended = await self._run(self._deletion_watch, obj, request, annotations)
        if not isinstance(ended, RunResult):
            return ended
        try:
            resource = await self._discovery.resource(self._watch.gvk)
            await self._scribes.finalizers.remove(resource, request, uid(obj), finalizer)
        except KindNotFoundError:
            return self._gone(request)
        except (ApiError, ApiUnreachableError) as error:
            message = f"the finalizer {finalizer} ran, but cannot be taken off the object: {error}"
            return await self._conclude_failure(obj, request, message)
        self._record(obj, Severity.NORMAL, Reason.FINALIZED, f"The finalizer {finalizer} is done")
        _log.info("finalized", finalizer=finalizer)
        return await self._conclude_success(obj, request, ended, 0.0)

    async def _run(
        self, watch: Watch, obj: KubeObject, request: Request, annotations: AnnotationSettings
    ) -> RunResult | Outcome:
        """Return the result of a run that succeeded, else the outcome of one that did not."""
        _log.info("reconciling", generation=generation(obj), **({"deleting": True} if is_deleting(obj) else {}))
        for warning in annotations.warnings:
            _log.warning("an annotation is ignored", warning=warning)
        try:
            async with self._announced(obj, request):
                result = await self._jobs.run(watch, self._settings, annotations, obj)
        except ExtraVarsError as error:
            return await self._conclude_failure(obj, request, str(error), retry=False)
        except RunLostError as error:
            return Failed(str(error))
        except ExecutionError as error:
            return await self._conclude_failure(obj, request, f"Unable to run reconciliation: {error}")
        return result if result.succeeded else await self._conclude_failure(obj, request, result.message, result)

    @asynccontextmanager
    async def _announced(self, obj: KubeObject, request: Request) -> AsyncIterator[None]:
        """Write ``Running`` once the run in the block has taken ``RUNNING_IS_NEWS_AFTER``; as upstream: before it."""

        async def announce() -> None:
            try:
                await self._write_status(obj, request, self._style.running(generation(obj)))
            except (ApiError, ApiUnreachableError) as error:
                _log.warning("the status cannot be written", error=str(error))

        async def announce_later() -> None:
            await self._clock.sleep(RUNNING_IS_NEWS_AFTER)
            await announce()

        if self._style.announces_every_run:
            await announce()
            yield
            return
        announcement = asyncio.create_task(announce_later(), name=f"announce {request}")
        try:
            yield
        finally:
            announcement.cancel()
            await asyncio.gather(announcement, return_exceptions=True)

    async def _conclude_success(self, obj: KubeObject, request: Request, result: RunResult, period: float) -> Outcome:
        try:
            written = await self._write_verdict(obj, request, self._style.succeeded(generation(obj), result))
        except (ApiError, ApiUnreachableError) as error:
            return Failed(f"the status cannot be written: {error}")
        if written is Written.GONE:
            return self._gone(request)
        if not is_deleting(obj) and self._is_news(obj, request):
            self._record(obj, Severity.NORMAL, Reason.RECONCILED, "The last run succeeded")
        self._failing.discard(request)
        stats = result.stats
        _log.info(
            "reconciled",
            **{LogKey.DURATION_SECONDS.value: round(result.duration, 3)},
            ok=stats.ok if stats else None,
            changed=stats.changed if stats else None,
        )
        return Succeeded(requeue_after=result.requeue_after or period or None)

    async def _conclude_failure(
        self, obj: KubeObject, request: Request, message: str, result: RunResult | None = None, *, retry: bool = True
    ) -> Outcome:
        """Write down that a run failed or could not be; ``retry``: whether to try again before the object changes."""
        reason = Reason.FAILED
        if is_deleting(obj):
            message, reason = f"finalizer {self._finalizer}: {message}", Reason.FINALIZER_FAILED
        try:
            written = await self._write_verdict(obj, request, self._style.failed(generation(obj), message, result))
        except (ApiError, ApiUnreachableError) as error:
            return Failed(f"{message} (and the status cannot be written: {error})")
        if written is Written.GONE:
            return self._gone(request)
        self._failing.add(request)
        self._record(obj, Severity.WARNING, reason, message)
        return Failed(message) if retry else Ignored(message)

    def _is_news(self, obj: KubeObject, request: Request) -> bool:
        """Tell whether a success changes the outcome. Without conditions only what failed here is remembered."""
        if request in self._failing:
            return True
        return self._watch.manage_status and last_outcome(obj) is not RunOutcome.SUCCEEDED

    def _gone(self, request: Request) -> Outcome:
        """Clean up after an object that went away, or was replaced, during its run: nothing of that is an error."""
        self._forget(request)
        _log.info("the object went away during its run")
        return Ignored("the object went away during its run")

    def _forget(self, request: Request) -> None:
        self._jobs.clear(self._watch.gvk, request)
        self._failing.discard(request)

    async def _write_verdict(self, obj: KubeObject, request: Request, update: StatusUpdate) -> Written:
        begun = self._clock.monotonic()
        written = await self._write_status(obj, request, update)
        self._metrics.phase_finished(self._watch.controller_name, Phase.STATUS, self._clock.monotonic() - begun)
        return written

    async def _write_status(self, obj: KubeObject, request: Request, update: StatusUpdate) -> Written:
        try:
            resource = await self._discovery.resource(self._watch.gvk)
        except KindNotFoundError:
            return Written.GONE  # with its CRD, every object of the kind went away
        return await self._scribes.status.write(resource, request, uid(obj), update)

    def _record(self, obj: KubeObject, severity: Severity, reason: Reason, message: str) -> None:
        self._scribes.recorder.record(obj, severity, reason, message)

    def _reconcile_period(self, annotations: AnnotationSettings) -> float:
        """Return the seconds to the next periodic run: the object's annotation, else the watch's, else the flag's."""
        for period in (annotations.reconcile_period, self._watch.reconcile_period):
            if period is not None:
                return period
        return self._settings.reconcile_period
