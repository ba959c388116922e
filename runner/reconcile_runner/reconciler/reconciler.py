"""The reconciler of one watch: a request leads to one job, and to one status."""

from __future__ import annotations

import enum
from typing import Final

from reconcile_runner.apimachinery.objects import KubeObject, generation, is_deleting, key_of, labels
from reconcile_runner.bounds import DEFAULT_BOUNDS, Bounds
from reconcile_runner.cache.lister import Lister
from reconcile_runner.controller.reconcile import Failed, Ignored, Outcome, Request, Succeeded
from reconcile_runner.errors import ApiError, ApiUnreachableError, ExecutionError, RunLostError
from reconcile_runner.execution.job import RunResult
from reconcile_runner.logs import LogKey, get_logger
from reconcile_runner.reconciler.extravars import ExtraVarsError
from reconcile_runner.reconciler.finalizer import has_finalizer
from reconcile_runner.reconciler.jobrunner import JobRunner
from reconcile_runner.reconciler.objectwriter import ObjectWriter
from reconcile_runner.reconciler.status import LastResult, Written, last_result
from reconcile_runner.recorder import EventRecorder, KubeEventType, Reason
from reconcile_runner.watches.annotations import AnnotationSettings, parse_annotations
from reconcile_runner.watches.watch import Watch

_MAX_DEFECT_CHARACTERS: Final = 1000
"""How many characters of an exception a condition quotes."""

_log = get_logger(__name__)


class _Retry(enum.Enum):
    """When a request that failed is tried again."""

    SOON = enum.auto()
    """From the shortest delay on: a task failed, or the API server."""

    LATER = enum.auto()
    """From a second on: no task was started."""

    NEVER = enum.auto()
    """Once the object changes."""


class AnsibleReconciler:
    """Reconciles the objects of one watch.

    Implements ``controller.reconcile.Reconciler``. ``objects`` are those of the watch's kind. Where neither an object
    nor ``watch`` has a reconcile period, the object has no periodic runs. ``bounds`` hold for its annotations.
    """

    def __init__(
        self,
        watch: Watch,
        objects: Lister,
        jobs: JobRunner,
        writer: ObjectWriter,
        recorder: EventRecorder,
        bounds: Bounds = DEFAULT_BOUNDS,
    ) -> None:
        self._bounds = bounds
        self._watch = watch
        self._finalizer = watch.finalizer.name if watch.finalizer else None
        self._objects = objects
        self._jobs = jobs
        self._writer = writer
        self._recorder = recorder
        self._failing: set[Request] = set()

    async def reconcile(self, request: Request) -> Outcome:
        """Run the role for an object, and write the result to its status.

        The object is the one in the cache.
        """
        obj = self._objects.get(request)
        if obj is None:
            await self._forget(request)
            return Ignored("the object is gone")
        annotations = parse_annotations(obj, self._bounds)
        reason = self._reason_to_ignore(obj, annotations)
        if reason is not None:
            return Ignored(reason)
        if is_deleting(obj):
            if self._finalizer is None or not has_finalizer(obj, self._finalizer):
                return Ignored("the object is being deleted, and this watch has nothing to do about it")
            return await self._finalize(obj, annotations, self._finalizer)
        if self._finalizer is not None and not has_finalizer(obj, self._finalizer):
            return await self._reconcile_first(obj, self._finalizer)
        return await self._reconcile(obj, annotations)

    async def tell(self, request: Request, message: str) -> Outcome:
        """Write to an object that ``reconcile`` raised an exception."""
        obj = self._objects.get(request)
        if obj is None:
            return Ignored("the object is gone")
        said = f"The operator met a defect: {message[:_MAX_DEFECT_CHARACTERS]}"
        return await self._fail(obj, said, retry=_Retry.LATER)

    def _reason_to_ignore(self, obj: KubeObject, annotations: AnnotationSettings) -> str | None:
        if not self._watch.selector.matches(labels(obj)):
            return "the selector does not match the object's labels"
        if annotations.is_paused:
            self._recorder.record(
                obj, KubeEventType.NORMAL, Reason.PAUSED, "Nothing is run while the annotation says so"
            )
            return "the object is paused"
        return None

    async def _reconcile_first(self, obj: KubeObject, finalizer: str) -> Outcome:
        """Put the finalizer on the object, then reconcile the object as stored."""
        try:
            stored = await self._writer.add_finalizer(obj, finalizer)
        except (ApiError, ApiUnreachableError) as error:
            return await self._fail(obj, f"the finalizer {finalizer} cannot be put on the object: {error}")
        if stored is None:
            return Ignored("the object went away before its run")
        return await self._reconcile(stored, parse_annotations(stored, self._bounds))

    async def _reconcile(self, obj: KubeObject, annotations: AnnotationSettings) -> Outcome:
        """Run what the watch names for an object that is to stay."""
        if annotations.error:
            return await self._fail(obj, annotations.error, retry=_Retry.NEVER)
        result = await self._run(obj, annotations)
        if not isinstance(result, RunResult):
            return result
        period = self._watch.reconcile_period if annotations.reconcile_period is None else annotations.reconcile_period
        return await self._succeed(obj, result, period or 0.0)

    async def _finalize(self, obj: KubeObject, annotations: AnnotationSettings, finalizer: str) -> Outcome:
        """Run the finalizer's play, then take the finalizer off."""
        result = await self._run(obj, annotations)
        if not isinstance(result, RunResult):
            return result
        try:
            if not await self._writer.remove_finalizer(obj, finalizer):
                return await self._gone(obj)
        except (ApiError, ApiUnreachableError) as error:
            return await self._fail(obj, f"the finalizer {finalizer} ran, but cannot be taken off the object: {error}")
        self._recorder.record(obj, KubeEventType.NORMAL, Reason.FINALIZED, f"The finalizer {finalizer} is done")
        _log.info("finalized", finalizer=finalizer)
        return await self._succeed(obj, result, 0.0)

    async def _run(self, obj: KubeObject, annotations: AnnotationSettings) -> RunResult | Outcome:
        """Return the result of a run that succeeded, else the outcome of one that did not."""
        _log.info("reconciling", generation=generation(obj), **({"deleting": True} if is_deleting(obj) else {}))
        for warning in annotations.warnings:
            _log.warning("an annotation is ignored", warning=warning)
        try:
            async with self._writer.running(obj):
                result = await self._jobs.run(obj, annotations)
        except ExtraVarsError as error:
            return await self._fail(obj, str(error), retry=_Retry.NEVER)
        except RunLostError as error:
            return Failed(str(error))
        except ExecutionError as error:
            return await self._fail(obj, f"Unable to run reconciliation: {error}", retry=_Retry.LATER)
        self._tell_lost_statuses(obj, result)
        if result.succeeded:
            return result
        return await self._fail(obj, result.message, result, _Retry.SOON if result.has_begun else _Retry.LATER)

    def _tell_lost_statuses(self, obj: KubeObject, result: RunResult) -> None:
        """Tell which writes of a status failed without a sign, because the role ignores their failure."""
        for lost in result.lost_statuses:
            _log.warning(
                "a status was not written, and the role ignores it",
                **{LogKey.TASK.value: lost.task, LogKey.TASK_PATH.value: lost.path, LogKey.ERROR.value: lost.message},
            )
            message = f"The role ignores that a status was not written: {lost}"
            self._recorder.record(obj, KubeEventType.WARNING, Reason.STATUS_NOT_WRITTEN, message)

    async def _succeed(self, obj: KubeObject, result: RunResult, period: float) -> Outcome:
        """Write that a run succeeded. ``period``: seconds to the next one; 0: none."""
        try:
            written = await self._writer.write_success(obj, result)
        except (ApiError, ApiUnreachableError) as error:
            return Failed(f"the status cannot be written: {error}")
        if written is Written.GONE:
            return await self._gone(obj)
        if written is not Written.REFUSED and not is_deleting(obj) and self._is_news(obj):
            self._recorder.record(obj, KubeEventType.NORMAL, Reason.RECONCILED, "The last run succeeded")
        self._failing.discard(key_of(obj))
        stats = result.stats
        _log.info(
            "reconciled",
            **{LogKey.DURATION_SECONDS.value: round(result.duration, 3)},
            ok=stats.ok if stats else None,
            changed=stats.changed if stats else None,
        )
        return Succeeded(requeue_after=result.requeue_after or period or None)

    async def _fail(
        self, obj: KubeObject, message: str, result: RunResult | None = None, retry: _Retry = _Retry.SOON
    ) -> Outcome:
        """Write that a run failed or could not start, and return when to try again."""
        reason = Reason.FAILED
        if is_deleting(obj):
            message, reason = f"finalizer {self._finalizer}: {message}", Reason.FINALIZER_FAILED
        try:
            written = await self._writer.write_failure(obj, message, result, is_final=retry is _Retry.NEVER)
        except (ApiError, ApiUnreachableError) as error:
            return Failed(f"{message} (and the status cannot be written: {error})", retry is not _Retry.LATER)
        if written is Written.GONE:
            return await self._gone(obj)
        self._failing.add(key_of(obj))
        self._recorder.record(obj, KubeEventType.WARNING, reason, message)
        return Ignored(message) if retry is _Retry.NEVER else Failed(message, retry is not _Retry.LATER)

    def _is_news(self, obj: KubeObject) -> bool:
        """Tell whether the run before did not succeed.

        Without conditions, only failures of this process are known.
        """
        if key_of(obj) in self._failing:
            return True
        return self._watch.manage_status and last_result(obj) is not LastResult.SUCCEEDED

    async def _gone(self, obj: KubeObject) -> Outcome:
        """Clean up after an object that was deleted or replaced during its run.

        That is no error.
        """
        await self._forget(key_of(obj))
        _log.info("the object went away during its run")
        return Ignored("the object went away during its run")

    async def _forget(self, request: Request) -> None:
        await self._jobs.clear(request)
        self._writer.forget(request)
        self._failing.discard(request)
