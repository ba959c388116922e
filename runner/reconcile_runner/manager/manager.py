"""The manager: builds every part, starts them in order, stops them in reverse.

``cli`` calls ``run`` with checked settings and gets the process's exit code back. Start: probes and metrics first, so
that a slow start can be seen; then caches; workers once these are synced. Stop: workers first, so that runs in hand can
finish with the proxy still there.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import ssl
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reconcile_runner import __version__
from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.backoff import RetryDelays
from reconcile_runner.cache.cache import Cache
from reconcile_runner.client import HttpClient, connect
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.clock import Clock, SystemClock
from reconcile_runner.controller.concurrency import ConcurrencyLimit
from reconcile_runner.controller.controller import Controller
from reconcile_runner.controller.dependents import Dependents
from reconcile_runner.controller.dependentscan import Survey
from reconcile_runner.controller.source import WatchSources
from reconcile_runner.controller.workqueue import WorkQueue
from reconcile_runner.errors import ConfigError
from reconcile_runner.execution.artifacts import ArtifactStore
from reconcile_runner.execution.forkserver.engine import ForkserverEngine, unsupported
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from reconcile_runner.execution.rundir import RunDir
from reconcile_runner.leaderelection import Leadership, join
from reconcile_runner.logs import get_logger
from reconcile_runner.manager.healthchecks import caches_check, stuck_check
from reconcile_runner.metrics import Metrics
from reconcile_runner.options import USER_METRICS_BIND_ADDRESS, EngineName, Options, SecureServing
from reconcile_runner.proxy import Knowledge, Proxy, TokenRegistry
from reconcile_runner.reconciler.environment import run_environment
from reconcile_runner.reconciler.finalizer import FinalizerKeeper
from reconcile_runner.reconciler.inputdir import InputDir
from reconcile_runner.reconciler.jobrunner import JobRunner, RunSettings
from reconcile_runner.reconciler.reconciler import AnsibleReconciler, Scribes
from reconcile_runner.reconciler.status import StatusWriter
from reconcile_runner.reconciler.warmup import warm_up
from reconcile_runner.recorder import EventRecorder
from reconcile_runner.server.authfilter import AuthenticationAndAuthorization, Filter
from reconcile_runner.server.certwatcher import open_certificate, serving_context
from reconcile_runner.server.healthz import Checks, Probe
from reconcile_runner.server.httpserver import (
    METRICS_PATH,
    HttpServer,
    health_server,
    metrics_server,
    user_metrics_server,
)
from reconcile_runner.server.usermetrics import UserMetrics
from reconcile_runner.watches.watch import Watch

SYNC_PATIENCE: Final = 10.0
"""Seconds that workers wait for every kind to be listed. After that they start with those that are: a trigger's kind
that is missing must not keep objects from being reconciled. Once it is listed, they are reconciled again."""

_log = get_logger(__name__)


async def run(options: Options, watches: tuple[Watch, ...], engine: Engine | None = None) -> int:
    """Serve the watches until SIGINT or SIGTERM; return the exit code, which is 1 where leadership was lost.

    ``engine`` runs the jobs in place of the one that the options name. Raises ``ConfigError`` where a start is
    impossible. A second signal ends running roles at once instead of waiting ``graceful_shutdown_timeout``.
    """
    _calm_garbage_collection()
    stopping, hurrying = asyncio.Event(), asyncio.Event()
    _handle_signals(stopping, hurrying)
    metrics, clock = Metrics(__version__, options.commit), SystemClock()

    def end_at_once() -> None:
        stopping.set()
        hurrying.set()

    async with AsyncExitStack() as parts:
        # The first part is the last to end: the Lease is released when nothing runs any more.
        leadership = await parts.enter_async_context(join(options, metrics, clock, end_at_once))
        engine = engine or engine_of(options.engine, watches)
        operator = await _assemble(options, watches, engine, leadership, metrics, parts, clock)
        await operator.serve(stopping, hurrying)
    _log.info("stopped")
    return 1 if leadership.is_lost else 0


def _calm_garbage_collection() -> None:
    """Keep what was imported out of every collection: with large caches, full ones block the loop for 80 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _handle_signals(stopping: asyncio.Event, hurrying: asyncio.Event) -> None:
    def on_signal() -> None:
        if stopping.is_set():
            hurrying.set()
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)


@dataclass(frozen=True, slots=True)
class _Unit:
    """What belongs to one watch."""

    gvk: GroupVersionKind
    source: WatchSources
    controller: Controller


class _Operator:
    """The started parts that work until they are told to stop."""

    def __init__(
        self,
        discovery: Discovery,
        cache: Cache,
        survey: Survey | None,
        recorder: EventRecorder,
        inputs: InputDir,
        leadership: Leadership,
        units: list[_Unit],
    ) -> None:
        self._discovery = discovery
        self._cache = cache
        self._survey = survey
        self._recorder = recorder
        self._inputs = inputs
        self._leadership = leadership
        self._units = units

    async def serve(self, stopping: asyncio.Event, hurrying: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            feeding = [
                group.create_task(self._discovery.run(), name="discovery"),
                group.create_task(self._cache.run(), name="cache"),
                group.create_task(self._recorder.run(), name="event recorder"),
                group.create_task(self._leadership.run(), name="leader election"),
                group.create_task(self._announce_sync(), name="announce sync"),
                group.create_task(self._look_for_dependents(), name="survey"),
                *(group.create_task(unit.source.wait_synced(), name="source sync") for unit in self._units),
            ]
            working = [group.create_task(self._work(unit, stopping), name=unit.controller.name) for unit in self._units]
            await stopping.wait()
            _log.info("stopping")
            for unit in self._units:
                unit.controller.stop()
            await _all_done_or(hurrying, working)
            for task in feeding:
                task.cancel()

    async def _work(self, unit: _Unit, stopping: asyncio.Event) -> None:
        await _either(stopping, self._cache.wait_synced(), patience=SYNC_PATIENCE)
        await _either(stopping, self._leadership.wait_elected())
        await unit.controller.run()

    async def _look_for_dependents(self) -> None:
        """Look when elected and not before: until then, another operator may make dependents of further kinds."""
        await self._leadership.wait_elected()
        if self._survey is not None:
            await self._survey.run()

    async def _announce_sync(self) -> None:
        await self._cache.wait_synced()
        _log.info("ready: every kind has been listed")
        self._clear_up_after_the_deleted()

    def _clear_up_after_the_deleted(self) -> None:
        """Remove what an earlier operator left in a chosen directory of objects that are gone meanwhile."""
        for unit in self._units:
            kind = self._cache.kind(unit.gvk)
            for key in self._inputs.keys(unit.gvk):
                if kind is not None and kind.get(key) is None:
                    self._inputs.remove(unit.gvk, key)


async def _either(stopping: asyncio.Event, wanted: Coroutine[None, None, None], patience: float | None = None) -> None:
    """Wait for what is wanted, or for the end, but no longer than ``patience`` seconds."""
    waits = [
        asyncio.create_task(wanted, name="workers wait for their start"),
        asyncio.create_task(stopping.wait(), name="workers wait for the end"),
    ]
    try:
        await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _all_done_or(hurrying: asyncio.Event, working: list[asyncio.Task[None]]) -> None:
    async def hurry() -> None:
        await hurrying.wait()
        for task in working:
            task.cancel()

    second_signal = asyncio.create_task(hurry(), name="second signal")
    await asyncio.wait(working)
    second_signal.cancel()


async def _assemble(
    options: Options,
    watches: tuple[Watch, ...],
    engine: Engine,
    leadership: Leadership,
    metrics: Metrics,
    parts: AsyncExitStack,
    clock: Clock,
) -> _Operator:
    checks = Checks()
    client = await parts.enter_async_context(await connect(options.kubeconfig, observe=metrics.request_finished))
    _log.info("starting", version=__version__, server=client.server, watches=[str(watch.gvk) for watch in watches])
    user_metrics_url = await _start_servers(options, checks, metrics, client, clock, parts)
    environment = run_environment(options, os.environ, Path.cwd(), user_metrics_url)
    discovery = Discovery(client, clock)
    cache = Cache(client, discovery, clock, options.namespaces)
    checks.add(Probe.READYZ, "caches", caches_check(cache, clock))
    inputs = _open_input_dir(options, parts)
    dependents = Dependents(cache)
    proxy = Proxy(
        client,
        TokenRegistry(),
        Knowledge(discovery, cache, dependents, injects=options.inject_owner_ref),
        options.proxy_port,
    )
    jobs = await _start_workshop(options, environment, engine, inputs, proxy, discovery, metrics, clock, parts)
    recorder = EventRecorder(client, clock, leadership.is_leading)
    scribes = Scribes(StatusWriter(client, clock), FinalizerKeeper(client), recorder)
    slots = ConcurrencyLimit(options.max_concurrent_runs)
    units = []
    for watch in watches:
        queue = WorkQueue(watch.controller_name, clock, metrics, _retry_delays(options, watch))
        source = WatchSources(watch, cache, queue, metrics, recorder)
        controller = Controller(
            watch.controller_name,
            watch.gvk,
            queue,
            AnsibleReconciler(
                watch,
                _run_settings(options, watch, environment),
                cache.require(watch.gvk, whole=True),
                discovery,
                scribes,
                jobs,
                metrics,
                clock,
            ),
            options.workers_for(watch.gvk),
            metrics,
            clock,
            options.graceful_shutdown_timeout,
            slots,
            leadership.is_leading,
        )
        source.start()
        if options.inject_owner_ref:
            dependents.add_watch(watch, cache.require(watch.gvk, whole=True), queue)
        checks.add(Probe.HEALTHZ, watch.controller_name, stuck_check(controller, options.run_timeout))
        units.append(_Unit(watch.gvk, source, controller))
    checks.start_is_complete()
    survey = _survey(options, watches, client, discovery, cache, dependents, clock)
    return _Operator(discovery, cache, survey, recorder, inputs, leadership, units)


def _survey(
    options: Options,
    watches: tuple[Watch, ...],
    client: HttpClient,
    discovery: Discovery,
    cache: Cache,
    dependents: Dependents,
    clock: Clock,
) -> Survey | None:
    """Return what looks for dependents of earlier runs, where anybody wants dependents; what is cached has scouts."""
    if not options.inject_owner_ref or not any(watch.watch_dependent_resources for watch in watches):
        return None
    for kind in cache.required():
        kind.add_event_handler(dependents.observer(discovery.known, kind.gvk))
    return Survey(client, discovery, dependents, clock, options.namespaces)


def _open_input_dir(options: Options, parts: AsyncExitStack) -> InputDir:
    runner_dir = RunDir.open(options.runner_dir)
    parts.callback(runner_dir.close)
    artifacts = ArtifactStore(options.artifacts_limit)
    artifacts.take_stock(runner_dir.path)
    return InputDir(runner_dir.path, artifacts=artifacts)


async def _start_workshop(
    options: Options,
    environment: dict[str, str],
    engine: Engine,
    inputs: InputDir,
    proxy: Proxy,
    discovery: Discovery,
    metrics: Metrics,
    clock: Clock,
    parts: AsyncExitStack,
) -> JobRunner:
    await proxy.start()
    parts.push_async_callback(proxy.stop)
    await engine.start()
    parts.push_async_callback(engine.stop)
    if isinstance(engine, ForkserverEngine):
        work = warm_up(engine, inputs, environment, options.ansible_verbosity)
        parts.push_async_callback(_end, asyncio.create_task(work, name="rehearsal"))
    return JobRunner(engine, inputs, proxy.tokens, proxy.url, discovery, metrics, clock)


def engine_of(name: EngineName | None, watches: tuple[Watch, ...] = ()) -> Engine:
    """Return the engine that was asked for, not yet started; where none was, the faster one that can be used here.

    ``watches``: those that it is to serve.

    Raises ``ConfigError`` where the one that was asked for cannot be used.
    """
    if name is EngineName.SUBPROCESS:
        return SubprocessEngine()
    why_not = unsupported()
    if why_not is None:
        return ForkserverEngine(sources=tuple(path for watch in watches for path in watch.contents))
    if name is EngineName.FORKSERVER:
        raise ConfigError(f"--engine=forkserver cannot be used here: {why_not}")
    _log.warning("each run starts an ansible-playbook of its own, which is slower", reason=why_not)
    return SubprocessEngine()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _run_settings(options: Options, watch: Watch, environment: dict[str, str]) -> RunSettings:
    return RunSettings(
        reconcile_period=options.reconcile_period,
        run_timeout=options.run_timeout,
        verbosity=options.verbosity_for(watch.gvk),
        ansible_args=options.ansible_args,
        log_events=options.ansible_log_events,
        environment=environment,
        gather_facts=options.gather_facts,
    )


def _retry_delays(options: Options, watch: Watch) -> RetryDelays:
    cap = options.retry_delays.cap if watch.failure_backoff_cap is None else watch.failure_backoff_cap
    base = options.retry_delays.base if watch.failure_backoff_base is None else watch.failure_backoff_base
    return RetryDelays(base, cap)


async def _start_servers(
    options: Options, checks: Checks, metrics: Metrics, client: HttpClient, clock: Clock, parts: AsyncExitStack
) -> str:
    """Start the servers that the options name; return the URL to which roles' metrics go, empty for none."""

    async def start(server: HttpServer, message: str) -> None:
        await server.start()
        parts.push_async_callback(server.stop)
        _log.info(message, address=f"{server.address.host}:{server.address.port}")

    user_metrics = UserMetrics(metrics)
    if options.health_probe_bind_address:
        await start(health_server(options.health_probe_bind_address, checks), "probes are served")
    if options.metrics_bind_address:
        tls, access = _metrics_security(options.secure_metrics, client, clock)
        server = metrics_server(options.metrics_bind_address, metrics, user_metrics, tls, access)
        await start(server, "metrics are served")
    if not options.user_metrics_bind_address:
        return ""
    server = user_metrics_server(options.user_metrics_bind_address, user_metrics)
    try:
        await start(server, "metrics of roles are taken")
    except ConfigError as error:
        if options.user_metrics_bind_address != USER_METRICS_BIND_ADDRESS:
            raise
        # Another operator on this machine: no reason not to start, if nobody insists on the port.
        _log.warning("another port is used; only osdk_metric of reconcile_runner.util finds it", error=str(error))
        server = user_metrics_server(replace(USER_METRICS_BIND_ADDRESS, port=0), user_metrics)
        await start(server, "metrics of roles are taken")
    return server.url(METRICS_PATH)


def _metrics_security(
    wanted: SecureServing | None, client: HttpClient, clock: Clock
) -> tuple[ssl.SSLContext | None, Filter | None]:
    if wanted is None:
        return None, None
    certificate = open_certificate(wanted, clock)
    _log.info("metrics are encrypted", certificate=certificate.name, requires_rbac=wanted.requires_rbac)
    access = AuthenticationAndAuthorization(client, clock) if wanted.requires_rbac else None
    return serving_context(certificate), access
