"""The reconciler: one request, one run of the watch's role, one status.

``controller`` calls ``reconcile`` with a request; named phases follow: fetch the object, prepare the run's inputs, run
(``execution``, behind a token of ``proxy``), conclude (``status``). The outcome goes back to ``controller``, which
alone decides about retries.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from runner import objects, status
from runner.cache import KindCache
from runner.clock import Clock
from runner.contract import ANNOTATION_MAX_RUNNER_ARTIFACTS, ANNOTATION_RECONCILE_PERIOD, ANNOTATION_VERBOSITY
from runner.discovery import Discovery
from runner.duration import parse_duration
from runner.errors import ApiError, ApiUnreachableError, ExecutionError, KindNotFoundError, RunLostError, RunnerError
from runner.execution import (
    Engine,
    ExtraVars,
    ExtraVarsError,
    InputDir,
    JobEvent,
    RunInputs,
    RunPhases,
    make_extra_vars,
)
from runner.logs import LogKey, get_logger
from runner.metrics import Metrics, Phase
from runner.objects import KubeObject, generation, is_deleting, labels, uid
from runner.options import LogEvents
from runner.proxy import Owner, TokenRegistry, kubeconfig
from runner.reconcile import Failed, Ignored, Outcome, Request, Succeeded
from runner.run import Job, RunResult
from runner.runlog import RunLog
from runner.watches import Watch

RUNNING_IS_NEWS_AFTER = 1.0
"""Seconds: a run shorter than this never writes ``Running``, so a quick run costs one status write at most."""

_log = get_logger("reconciler")


class ObjectError(RunnerError):
    """The object asks for something that cannot be run. It is not tried again until the object changes."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What of the operator's options shapes a run. Seconds; ``run_timeout`` and ``reconcile_period`` 0: none."""

    reconcile_period: float
    run_timeout: float
    verbosity: int
    ansible_args: str
    log_events: LogEvents
    environment: dict[str, str]
    gather_facts: bool


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where runs happen, shared by all watches: the engine, what runs read, and how they reach the API server."""

    engine: Engine
    inputs: InputDir
    tokens: TokenRegistry
    proxy_url: str


class AnsibleReconciler:
    """Reconciles the objects of one watch. Implements ``runner.reconcile.Reconciler``."""

    def __init__(
        self,
        watch: Watch,
        settings: RunSettings,
        cached: KindCache,
        discovery: Discovery,
        writer: status.StatusWriter,
        workshop: Workshop,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._watch = watch
        self._settings = settings
        self._cached = cached
        self._discovery = discovery
        self._writer = writer
        self._workshop = workshop
        self._metrics = metrics
        self._clock = clock

    async def reconcile(self, request: Request) -> Outcome:
        """Run the role for the object as the cache has it, and write down how that went."""
        obj = self._cached.get(request)
        if obj is None:
            self._workshop.inputs.remove(self._watch.gvk, request)
            return Ignored("the object is gone")
        if is_deleting(obj):
            return Ignored("the object is being deleted")
        if not self._watch.selector.matches(labels(obj)):
            return Ignored("the selector does not match the object's labels")
        _log.info("reconciling", generation=generation(obj))
        try:
            period = self._reconcile_period(obj)
            result = await self._run(obj, request)
        except (ObjectError, ExtraVarsError) as error:
            return await self._refuse(obj, request, str(error))
        except RunLostError as error:
            return Failed(str(error))
        except ExecutionError as error:
            return await self._conclude_failure(obj, request, f"Unable to run reconciliation: {error}", None)
        if result.succeeded:
            return await self._conclude_success(obj, request, result, period)
        return await self._conclude_failure(obj, request, result.message, result)

    async def _run(self, obj: KubeObject, request: Request) -> RunResult:
        begun = self._clock.monotonic()
        variables = make_extra_vars(self._watch, obj)
        for warning in variables.warnings:
            _log.warning("a field of the object is no variable of the role", warning=warning)
        ident = str(secrets.randbelow(2**63))
        owner = Owner(self._watch.gvk, request, uid(obj))
        with self._workshop.tokens.issue(owner) as token:
            job = self._write_inputs(obj, request, ident, variables, token)
            self._phase_finished(Phase.PREPARE, self._clock.monotonic() - begun)
            async with self._announced_when_long(obj, request):
                result = await self._run_in_engine(job)
        self._metrics.run_finished(self._watch.controller_name, result.status, result.duration)
        return result

    async def _run_in_engine(self, job: Job) -> RunResult:
        log, phases = RunLog(self._settings.log_events, job.ident), RunPhases(self._clock)

        def on_event(event: JobEvent) -> None:
            phases.add(event)
            log(event)

        result = await self._workshop.engine.run(job, on_event)
        for phase, seconds in phases.finished().items():
            self._phase_finished(phase, seconds)
        return result

    def _phase_finished(self, phase: Phase, seconds: float) -> None:
        self._metrics.phase_finished(self._watch.controller_name, phase, seconds)

    def _write_inputs(self, obj: KubeObject, request: Request, ident: str, variables: ExtraVars, token: str) -> Job:
        inputs = RunInputs(
            extra_vars=variables.data,
            kubeconfig=kubeconfig.render(self._workshop.proxy_url, token, request.namespace),
            env=self._settings.environment,
            cmdline=self._settings.ansible_args,
            max_artifacts=_integer_annotation(obj, ANNOTATION_MAX_RUNNER_ARTIFACTS, self._watch.max_runner_artifacts),
        )
        return Job(
            ident=ident,
            private_data_dir=self._workshop.inputs.write(self._watch.gvk, request, inputs),
            playbook=self._watch.playbook,
            role=self._watch.role,
            verbosity=_integer_annotation(obj, ANNOTATION_VERBOSITY, self._settings.verbosity),
            timeout=self._settings.run_timeout or None,
            gather_facts=self._settings.gather_facts,
        )

    @asynccontextmanager
    async def _announced_when_long(self, obj: KubeObject, request: Request) -> AsyncIterator[None]:
        """Write ``Running`` once the run in the block has taken ``RUNNING_IS_NEWS_AFTER``."""

        async def announce() -> None:
            await self._clock.sleep(RUNNING_IS_NEWS_AFTER)
            try:
                await self._write_status(obj, request, status.running(generation(obj)))
            except (ApiError, ApiUnreachableError) as error:
                _log.warning("the status cannot be written", error=str(error))

        announcement = asyncio.create_task(announce(), name=f"announce {request}")
        try:
            yield
        finally:
            announcement.cancel()
            await asyncio.gather(announcement, return_exceptions=True)

    async def _conclude_success(self, obj: KubeObject, request: Request, result: RunResult, period: float) -> Outcome:
        try:
            there = await self._write_verdict(obj, request, status.succeeded(generation(obj), result))
        except (ApiError, ApiUnreachableError) as error:
            return Failed(f"the status cannot be written: {error}")
        if not there:
            return self._gone(request)
        stats = result.stats
        _log.info(
            "reconciled",
            **{LogKey.DURATION_SECONDS.value: round(result.duration, 3)},
            ok=stats.ok if stats else None,
            changed=stats.changed if stats else None,
        )
        return Succeeded(requeue_after=result.requeue_after or period or None)

    async def _conclude_failure(
        self, obj: KubeObject, request: Request, message: str, result: RunResult | None
    ) -> Outcome:
        try:
            stats = result.stats if result else None
            there = await self._write_verdict(obj, request, status.failed(generation(obj), message, stats))
        except (ApiError, ApiUnreachableError) as error:
            return Failed(f"{message} (and the status cannot be written: {error})")
        return Failed(message) if there else self._gone(request)

    async def _refuse(self, obj: KubeObject, request: Request, message: str) -> Outcome:
        match await self._conclude_failure(obj, request, message, None):
            case Failed(said) if said == message:
                return Ignored(message)
            case outcome:
                return outcome

    def _gone(self, request: Request) -> Outcome:
        """Clean up after an object that went away, or was replaced, during its run: nothing of that is an error."""
        self._workshop.inputs.remove(self._watch.gvk, request)
        _log.info("the object went away during its run")
        return Ignored("the object went away during its run")

    async def _write_verdict(self, obj: KubeObject, request: Request, update: status.StatusUpdate) -> bool:
        begun = self._clock.monotonic()
        there = await self._write_status(obj, request, update)
        self._phase_finished(Phase.STATUS, self._clock.monotonic() - begun)
        return there

    async def _write_status(self, obj: KubeObject, request: Request, update: status.StatusUpdate) -> bool:
        try:
            resource = await self._discovery.resource(self._watch.gvk)
        except KindNotFoundError:
            return False  # with its CRD, every object of the kind went away
        wanted = update if self._watch.manage_status else status.nothing
        return await self._writer.write(resource, request, uid(obj), wanted)

    def _reconcile_period(self, obj: KubeObject) -> float:
        """Return the seconds to the next periodic run: the object's annotation, else the watch's, else the flag's."""
        text = objects.annotations(obj).get(ANNOTATION_RECONCILE_PERIOD)
        if text is not None:
            try:
                return parse_duration(text)
            except ValueError as error:
                raise ObjectError(f"annotation {ANNOTATION_RECONCILE_PERIOD}: {error}") from error
        own = self._watch.reconcile_period
        return self._settings.reconcile_period if own is None else own


def _integer_annotation(obj: KubeObject, name: str, default: int) -> int:
    """Return an annotation's number, or the default where it is absent or no number (which upstream ignores, too)."""
    text = objects.annotations(obj).get(name)
    if text is None:
        return default
    if text.isascii() and text.isdigit():
        return int(text)
    _log.warning("an annotation is ignored", annotation=name, found=text, expected="a number such as 3")
    return default
