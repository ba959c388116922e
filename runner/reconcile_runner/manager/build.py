"""Assembles an operator from the options and the watches."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from reconcile_runner import __version__
from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.backoff import RetryDelays
from reconcile_runner.cache.cache import Cache
from reconcile_runner.client import HttpClient, connect
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.clock import Clock
from reconcile_runner.controller.concurrency import ConcurrencyLimit
from reconcile_runner.controller.controller import Controller, ControllerOptions
from reconcile_runner.controller.dependents import Dependents
from reconcile_runner.controller.dependentscan import scan_for_dependents
from reconcile_runner.controller.source import WatchSources
from reconcile_runner.controller.workqueue import WorkQueue
from reconcile_runner.execution import inherited
from reconcile_runner.execution.artifacts import ArtifactStore
from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.job import RunSettings
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from reconcile_runner.execution.rundir import RunDir
from reconcile_runner.leaderelection import Leadership
from reconcile_runner.logs import get_logger
from reconcile_runner.manager.runnables import ControllerRunnable, Runnable, RunnableFunc
from reconcile_runner.manager.servers import start_servers
from reconcile_runner.metrics import Metrics
from reconcile_runner.options import Options
from reconcile_runner.proxy import Proxy
from reconcile_runner.reconciler.environment import RunEnvironment
from reconcile_runner.reconciler.inputdir import InputDir
from reconcile_runner.reconciler.jobrunner import JobRunner
from reconcile_runner.reconciler.objectwriter import ObjectWriter
from reconcile_runner.reconciler.reconciler import AnsibleReconciler
from reconcile_runner.reconciler.statusretries import StatusRetries
from reconcile_runner.reconciler.warmup import warm_up
from reconcile_runner.recorder import EventRecorder
from reconcile_runner.server.healthz import Checks, Probe
from reconcile_runner.watches.watch import Watch

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator's runnables, in the groups in which they start; they end in reverse."""

    caches: Sequence[Runnable]
    election: Sequence[Runnable]
    controllers: Sequence[ControllerRunnable]


async def build(
    options: Options,
    watches: tuple[Watch, ...],
    engine: Engine,
    leadership: Leadership,
    metrics: Metrics,
    clock: Clock,
    parts: AsyncExitStack,
) -> Operator:
    """Make an operator, with servers, proxy and engine started.

    ``parts`` stops these. Raises ``ConfigError`` where one of them cannot start.
    """
    checks = Checks()
    client = await parts.enter_async_context(await connect(options.kubeconfig, observe=metrics.request_finished))
    _log.info("starting", version=__version__, server=client.server, watches=[str(watch.gvk) for watch in watches])
    user_metrics_url = await start_servers(options, checks, metrics, client, clock, parts)
    environment = RunEnvironment(options, os.environ, Path.cwd(), user_metrics_url)
    _say_what_runs_do_not_get(environment)
    discovery = Discovery(client, clock)
    cache = Cache(client, discovery, clock, options.namespaces, metrics.answer_unreadable)
    checks.add(Probe.READYZ, "caches", cache.problem)
    inputs = _open_input_dir(options, parts)
    dependents = Dependents(cache, metrics)
    proxy = Proxy(client, discovery, cache, dependents, metrics, options.proxy_port, injects=options.inject_owner_ref)
    await proxy.start()
    parts.push_async_callback(proxy.stop)
    await _start_engine(engine, inputs, _run_settings(options, environment.variables()), parts)
    recorder = EventRecorder(client, clock, leadership.is_leading)
    shared = _Shared(
        options=options,
        environment=environment,
        leadership=leadership,
        metrics=metrics,
        clock=clock,
        checks=checks,
        client=client,
        discovery=discovery,
        cache=cache,
        dependents=dependents,
        engine=engine,
        inputs=inputs,
        proxy=proxy,
        recorder=recorder,
        retries=StatusRetries(metrics, recorder, clock),
        limit=ConcurrencyLimit(options.max_concurrent_runs),
    )
    units = [_build_unit(_with_period(watch, options), shared) for watch in watches]
    checks.start_is_complete()
    return _group(watches, units, shared)


def _say_what_runs_do_not_get(environment: RunEnvironment) -> None:
    if variables := inherited.withheld(os.environ):
        _log.warning("variables that name an API server are not for runs", variables=variables)
    if problem := inherited.unusable_locale():
        _log.warning("runs get the locale C.UTF-8", error=f"Ansible refuses that of the operator: {problem}")
    if hidden := environment.hidden_settings():
        _log.warning("ansible.cfg of the working directory is read in place of the system's", settings=hidden)


def _group(watches: tuple[Watch, ...], units: list[_Unit], shared: _Shared) -> Operator:
    options, cache = shared.options, shared.cache
    election = [RunnableFunc("leader election", shared.leadership.run)]
    if options.inject_owner_ref and any(watch.watch_dependent_resources for watch in watches):
        _observe_cached_kinds(cache, shared.dependents, shared.discovery)
        scan = partial(
            scan_for_dependents, shared.client, shared.discovery, shared.dependents, shared.clock, options.namespaces
        )
        # Until this operator leads, another one may make dependents of further kinds.
        election.append(RunnableFunc("dependent scan", scan, needs_leader=True))
    return Operator(
        caches=[
            RunnableFunc("discovery", shared.discovery.run),
            RunnableFunc("cache", cache.run),
            RunnableFunc("event recorder", shared.recorder.run),
            RunnableFunc("status retries", shared.retries.run),
            RunnableFunc("first lists", _FirstLists(cache, shared.inputs, watches).run),
            *(RunnableFunc("source sync", unit.sources.wait_synced) for unit in units),
        ],
        election=election,
        controllers=[ControllerRunnable(unit.controller, cache) for unit in units],
    )


async def _start_engine(engine: Engine, inputs: InputDir, settings: RunSettings, parts: AsyncExitStack) -> None:
    """Start the engine. Beside everything else, an empty run tells what would let every run fail."""
    await engine.start()
    parts.push_async_callback(engine.stop)
    if isinstance(engine, ForkserverEngine | SubprocessEngine):
        work = warm_up(engine, inputs, settings)
        parts.push_async_callback(_end, asyncio.create_task(work, name="warm-up"))


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _open_input_dir(options: Options, parts: AsyncExitStack) -> InputDir:
    runner_dir = RunDir.open(options.runner_dir)
    parts.callback(runner_dir.close)
    artifacts = ArtifactStore(options.artifacts_limit)
    artifacts.take_stock(runner_dir.path)
    return InputDir(runner_dir.path, artifacts=artifacts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shared:
    """What the parts of all watches are made from."""

    options: Options
    environment: RunEnvironment
    leadership: Leadership
    metrics: Metrics
    clock: Clock
    checks: Checks
    client: HttpClient
    discovery: Discovery
    cache: Cache
    dependents: Dependents
    engine: Engine
    inputs: InputDir
    proxy: Proxy
    recorder: EventRecorder
    retries: StatusRetries
    limit: ConcurrencyLimit


@dataclass(frozen=True, slots=True)
class _Unit:
    """What belongs to one watch."""

    sources: WatchSources
    controller: Controller


def _build_unit(watch: Watch, shared: _Shared) -> _Unit:
    options, name = shared.options, watch.controller_name
    queue = WorkQueue(name, shared.clock, shared.metrics, _retry_delays(options, watch))
    sources = WatchSources(watch, shared.cache, queue, shared.metrics, shared.recorder)
    objects = shared.cache.get_informer(watch.gvk, whole=True, required=True)
    jobs = JobRunner(
        watch,
        partial(_settings_for, watch, shared),
        shared.engine,
        shared.inputs,
        shared.proxy,
        shared.discovery,
        shared.metrics,
        shared.clock,
    )
    writer = ObjectWriter(watch, shared.client, shared.discovery, shared.metrics, shared.retries, shared.clock)
    reconciler = AnsibleReconciler(watch, objects, jobs, writer, shared.recorder, options.bounds)
    controller_options = ControllerOptions(
        options.workers_for(watch.gvk),
        options.graceful_shutdown_timeout,
        options.run_timeout,
        shared.limit,
        shared.leadership.is_leading,
    )
    controller = Controller(watch.gvk, queue, reconciler, shared.metrics, shared.clock, controller_options)
    sources.start()
    if options.inject_owner_ref:
        shared.dependents.add_watch(watch, objects, queue)
    shared.checks.add(Probe.HEALTHZ, name, controller.problem)
    shared.checks.add(Probe.READYZ, name, partial(jobs.silent_runs.problem, controller_options.workers))
    return _Unit(sources, controller)


def _run_settings(options: Options, environment: dict[str, str]) -> RunSettings:
    """Return the settings of runs as far as the options decide them."""
    return RunSettings(
        verbosity=options.ansible_verbosity,
        timeout=options.run_timeout or None,
        gather_facts=options.gather_facts,
        ansible_args=options.ansible_args,
        environment=environment,
        log_events=options.ansible_log_events,
    )


def _settings_for(watch: Watch, shared: _Shared) -> RunSettings:
    """Return the settings of a run of a watch that starts now."""
    settings = _run_settings(shared.options, shared.environment.variables())
    verbosity = shared.options.verbosity_for(watch.gvk)
    return replace(settings, verbosity=verbosity, max_artifacts=watch.max_runner_artifacts)


def _with_period(watch: Watch, options: Options) -> Watch:
    """Return the watch with a reconcile period: its own, else the flag's."""
    return watch if watch.reconcile_period is not None else replace(watch, reconcile_period=options.reconcile_period)


def _retry_delays(options: Options, watch: Watch) -> RetryDelays:
    cap = options.retry_delays.cap if watch.failure_backoff_cap is None else watch.failure_backoff_cap
    base = options.retry_delays.base if watch.failure_backoff_base is None else watch.failure_backoff_base
    return RetryDelays(base, cap)


def _observe_cached_kinds(cache: Cache, dependents: Dependents, discovery: Discovery) -> None:
    """Look for dependents among the objects that are cached anyway.

    Their kinds need no scan.
    """
    for informer in cache.required_informers():
        informer.add_event_handler(dependents.observer(discovery.known, informer.gvk))


class _FirstLists:
    """What follows once every kind has been listed."""

    def __init__(self, cache: Cache, inputs: InputDir, watches: tuple[Watch, ...]) -> None:
        self._cache = cache
        self._inputs = inputs
        self._watches = watches

    async def run(self) -> None:
        """Wait for the lists, then remove the directories of objects that are gone."""
        await self._cache.wait_synced()
        _log.info("ready: every kind has been listed")
        for watch in self._watches:
            self._remove_stale_directories(watch.gvk)

    def _remove_stale_directories(self, gvk: GroupVersionKind) -> None:
        """Remove what an earlier operator left in a ``--runner-dir`` that outlives it."""
        kind = self._cache.required_informer(gvk)
        for key in self._inputs.keys(gvk):
            if kind is not None and kind.get(key) is None:
                self._inputs.remove(gvk, key)
