"""The jobs: where one run of a role happens, from an object to a result.

``reconciler`` asks for a run; here its variables and its kubeconfig are written down, a token is issued that lives as
long as the run, the engine of ``execution`` runs it, its events are logged (``joblog``) and its phases measured.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey, key_of, uid
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.clock import Clock
from reconcile_runner.execution.job import Job, RunResult, ServedApi
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.phases import RunPhases
from reconcile_runner.execution.pool import Engine
from reconcile_runner.logs import get_logger
from reconcile_runner.metrics import Metrics, Phase
from reconcile_runner.options import LogEvents
from reconcile_runner.proxy import Owner, TokenRegistry, kubeconfig
from reconcile_runner.reconciler.extravars import make_extra_vars
from reconcile_runner.reconciler.inputdir import InputDir, RunInputs
from reconcile_runner.reconciler.joblog import JobLog
from reconcile_runner.watches.annotations import AnnotationSettings
from reconcile_runner.watches.watch import Watch

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What of the operator's options shapes a run.

    ``run_timeout`` and ``reconcile_period`` are in seconds, 0: none.
    """

    reconcile_period: float
    run_timeout: float
    verbosity: int
    ansible_args: str
    log_events: LogEvents
    environment: Mapping[str, str]
    gather_facts: bool


class JobRunner:
    """Runs roles and playbooks for objects; shared by all watches."""

    def __init__(
        self,
        engine: Engine,
        inputs: InputDir,
        tokens: TokenRegistry,
        proxy_url: str,
        discovery: Discovery,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._engine = engine
        self._inputs = inputs
        self._tokens = tokens
        self._proxy_url = proxy_url
        self._discovery = discovery
        self._metrics = metrics
        self._clock = clock

    async def run(
        self, watch: Watch, settings: RunSettings, annotations: AnnotationSettings, obj: KubeObject
    ) -> RunResult:
        """Run what a watch names for an object and return how that went.

        Raises ``ExtraVarsError`` where the object cannot be handed to a role, ``ExecutionError`` where nothing could
        be run, ``RunLostError`` where the run was lost on the way.
        """
        begun = self._clock.monotonic()
        key, ident = key_of(obj), str(secrets.randbelow(2**63))
        with self._tokens.issue(Owner(watch.gvk, key, uid(obj))) as token:
            kinds = await self._discovery.etag()
            job = self._write_inputs(watch, settings, annotations, obj, ident, token)
            job = replace(job, api=ServedApi(self._proxy_url, kinds) if kinds else None)
            self._metrics.phase_finished(watch.controller_name, Phase.PREPARE, self._clock.monotonic() - begun)
            try:
                result = await self._run_in_engine(watch, settings, job)
            finally:
                self._inputs.finished(watch.gvk, key, ident)
        self._metrics.run_finished(watch.controller_name, result.status, result.duration)
        return result

    def clear(self, gvk: GroupVersionKind, key: ObjectKey) -> None:
        """Remove everything that runs for an object left here."""
        self._inputs.remove(gvk, key)

    def _write_inputs(
        self,
        watch: Watch,
        settings: RunSettings,
        annotations: AnnotationSettings,
        obj: KubeObject,
        ident: str,
        token: str,
    ) -> Job:
        key, variables = key_of(obj), make_extra_vars(watch, obj)
        for warning in variables.warnings:
            _log.warning("a field of the object is no variable of the role", warning=warning)
        inputs = RunInputs(
            extra_vars=variables.data,
            kubeconfig=kubeconfig.render(self._proxy_url, token, key.namespace),
            env=settings.environment,
            cmdline=settings.ansible_args,
            max_artifacts=watch.max_runner_artifacts
            if annotations.max_artifacts is None
            else annotations.max_artifacts,
        )
        return Job(
            ident=ident,
            private_data_dir=self._inputs.write(watch.gvk, key, inputs),
            playbook=watch.playbook,
            role=watch.role,
            verbosity=settings.verbosity if annotations.verbosity is None else annotations.verbosity,
            timeout=settings.run_timeout or None,
            gather_facts=settings.gather_facts,
        )

    async def _run_in_engine(self, watch: Watch, settings: RunSettings, job: Job) -> RunResult:
        log, phases = JobLog(settings.log_events, job.ident), RunPhases(self._clock)

        def on_event(event: JobEvent) -> None:
            phases.add(event)
            log(event)

        result = await self._engine.run(job, on_event)
        for phase, seconds in phases.finished().items():
            self._metrics.phase_finished(watch.controller_name, phase, seconds)
        return result
