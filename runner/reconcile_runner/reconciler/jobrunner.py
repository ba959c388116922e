"""Runs one job for one object: variables, kubeconfig, token, engine, log, phases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from reconcile_runner.apimachinery.objects import KubeObject, ObjectKey, is_deleting, key_of, uid
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.clock import Clock
from reconcile_runner.execution.job import Job, RunResult, RunSettings, ServedApi, new_ident
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.phases import RunPhases
from reconcile_runner.execution.pool import Engine
from reconcile_runner.logs import get_logger
from reconcile_runner.metrics import Metrics, Phase
from reconcile_runner.proxy import Owner, TokenRegistry, kubeconfig
from reconcile_runner.reconciler.extravars import make_extra_vars
from reconcile_runner.reconciler.finalizer import for_deletion
from reconcile_runner.reconciler.inputdir import InputDir
from reconcile_runner.reconciler.joblog import JobLog
from reconcile_runner.reconciler.silentruns import SilentRuns
from reconcile_runner.watches.annotations import AnnotationSettings
from reconcile_runner.watches.watch import Watch

_log = get_logger(__name__)


class ProxyAccess(Protocol):
    """What a run needs of the proxy. ``proxy.Proxy`` is one."""

    @property
    def tokens(self) -> TokenRegistry:
        """Return the registry that issues a run's token."""

    @property
    def url(self) -> str:
        """Return the proxy's address."""


class JobRunner:
    """Runs the jobs of one watch.

    ``settings`` returns those of a run that starts now; an object's annotations win over them. ``silent_runs`` knows
    which of its runs make no progress.
    """

    def __init__(
        self,
        watch: Watch,
        settings: Callable[[], RunSettings],
        engine: Engine,
        inputs: InputDir,
        proxy: ProxyAccess,
        discovery: Discovery,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._watch = watch
        self._deletion_watch = for_deletion(watch) if watch.finalizer else watch
        self._settings = settings
        self._engine = engine
        self._inputs = inputs
        self._proxy = proxy
        self._discovery = discovery
        self._metrics = metrics
        self._clock = clock
        self.silent_runs = SilentRuns(watch.controller_name, metrics, clock)

    async def run(self, obj: KubeObject, annotations: AnnotationSettings) -> RunResult:
        """Run what the watch names for an object.

        For an object that is being deleted, that is the finalizer's play. Raises ``ExtraVarsError`` where the object
        cannot be given to a role, ``ExecutionError`` where nothing could be run, ``RunLostError`` where the engine lost
        the run.
        """
        started = self._clock.monotonic()
        watch, key, ident = self._watch, key_of(obj), new_ident()
        with self._proxy.tokens.issue(Owner(watch.gvk, key, uid(obj))) as token:
            kinds = await self._discovery.etag()
            job = self._write_inputs(obj, self._settings_for(annotations), ident, token)
            job = replace(job, api=ServedApi(self._proxy.url, kinds) if kinds else None)
            self._metrics.phase_finished(watch.controller_name, Phase.PREPARE, self._clock.monotonic() - started)
            try:
                result = await self._run_in_engine(job)
            finally:
                self._inputs.finished(watch.gvk, key, ident)
        self._metrics.run_finished(watch.controller_name, result.status, result.duration)
        return result

    async def clear(self, key: ObjectKey) -> None:
        """End what the object's runs have left, and remove its directory, with their inputs and artifacts."""
        await self._engine.end_remains(self._inputs.path(self._watch.gvk, key))
        self._inputs.remove(self._watch.gvk, key)

    def _settings_for(self, annotations: AnnotationSettings) -> RunSettings:
        settings = self._settings()
        if annotations.verbosity is not None:
            settings = replace(settings, verbosity=annotations.verbosity)
        if annotations.max_artifacts is not None:
            settings = replace(settings, max_artifacts=annotations.max_artifacts)
        for bound, sentence in annotations.exceeded:
            self._metrics.bound_reached(bound)
            _log.warning("an annotation asks for more than it may", warning=sentence)
        return settings

    def _write_inputs(self, obj: KubeObject, settings: RunSettings, ident: str, token: str) -> Job:
        watch = self._deletion_watch if is_deleting(obj) else self._watch
        key, variables = key_of(obj), make_extra_vars(watch, obj)
        for warning in variables.warnings:
            _log.warning("a field of the object is no variable of the role", warning=warning)
        text = kubeconfig.render(self._proxy.url, token, key.namespace)
        directory = self._inputs.write(watch.gvk, key, variables.data, text, settings)
        return Job(ident, directory, watch.playbook, watch.role, settings)

    async def _run_in_engine(self, job: Job) -> RunResult:
        log, phases = JobLog(job.settings.log_events, job.ident), RunPhases(self._clock)

        with self.silent_runs.watch(job.ident) as watched:

            def on_event(event: JobEvent) -> None:
                watched.heard(event)
                phases.add(event)
                log(event)

            result = await self._engine.run(job, on_event)
        for phase, seconds in phases.finished().items():
            self._metrics.phase_finished(self._watch.controller_name, phase, seconds)
        return result
