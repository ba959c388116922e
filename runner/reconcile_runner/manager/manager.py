"""The manager: starts the parts of an operator, and stops them in reverse."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, closing
from types import TracebackType
from typing import Self

from reconcile_runner import __version__
from reconcile_runner.client.config import credential_files
from reconcile_runner.clock import SystemClock
from reconcile_runner.execution import confinement
from reconcile_runner.execution.choice import choose_engine
from reconcile_runner.execution.installation import installation_of
from reconcile_runner.execution.pool import Engine
from reconcile_runner.execution.rundeadline import RunDeadline
from reconcile_runner.inspection.arguments import check_arguments
from reconcile_runner.leaderelection import Leadership, join
from reconcile_runner.logs import get_logger
from reconcile_runner.manager.build import Operator, build
from reconcile_runner.manager.runnables import RunnableGroup
from reconcile_runner.metrics import Metrics
from reconcile_runner.options import Options
from reconcile_runner.watches.watch import Watch

_log = get_logger(__name__)


class Manager:
    """One operator: entering starts its parts, ``serve`` reconciles.

        async with Manager(options, watches) as manager:
            await manager.serve(stop)

    Entering starts the servers, the proxy and the engine; leaving stops them, and releases the Lease last. ``engine``
    runs the jobs; None: the one that the options name. Entering raises ``ConfigError`` where a start is impossible.
    """

    def __init__(self, options: Options, watches: tuple[Watch, ...], engine: Engine | None = None) -> None:
        self._options = options
        self._watches = watches
        self._engine = engine
        self._stopping = asyncio.Event()
        self._hurrying = asyncio.Event()
        self._parts = AsyncExitStack()
        self._leadership: Leadership | None = None
        self._operator: Operator | None = None

    async def __aenter__(self) -> Self:
        """Start the parts; those that started are stopped where another one cannot."""
        options, metrics, clock = (
            self._options,
            Metrics(__version__, self._options.commit, self._options.bounds),
            SystemClock(),
        )
        async with AsyncExitStack() as parts:
            # What is entered first ends last: the Lease is released when nothing runs any more.
            deadline = parts.enter_context(closing(RunDeadline()))
            leadership = await parts.enter_async_context(
                join(options, metrics, clock, self._end_at_once, deadline.extend)
            )
            sources = tuple(path for watch in self._watches for path in watch.contents)
            installation = await asyncio.to_thread(installation_of, options.ansible_playbook)
            await asyncio.to_thread(check_arguments, options.ansible_args, os.environ, installation.interpreter)
            engine = self._engine
            if engine is None:
                hidden = await asyncio.to_thread(_hidden_from_runs, options, metrics)
                engine = await asyncio.to_thread(choose_engine, options.engine, sources, installation, hidden, deadline)
            self._operator = await build(options, self._watches, engine, leadership, metrics, clock, parts)
            self._leadership = leadership
            self._parts = parts.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Stop the parts."""
        return await self._parts.__aexit__(kind, error, traceback)

    @property
    def has_lost_leadership(self) -> bool:
        """Tell whether it led and leads no more, for which ``serve`` ends."""
        return self._leadership is not None and self._leadership.is_lost

    async def serve(self, stop: asyncio.Event, hurry: asyncio.Event | None = None) -> None:
        """Reconcile until ``stop`` is set or leadership is lost. To be called once.

        Running jobs may then go on for ``graceful_shutdown_timeout``; they are ended at once when ``hurry`` is set, or
        leadership is lost. Raises ``RuntimeError`` outside of ``async with``.
        """
        if self._operator is None or self._leadership is None:
            raise RuntimeError("a Manager serves inside of its `async with` block")
        operator, leadership = self._operator, self._leadership
        groups = [
            RunnableGroup(runnables, leadership, self._stopping)
            for runnables in (operator.caches, operator.election, operator.controllers)
        ]
        controllers = groups[-1]
        async with asyncio.TaskGroup() as tasks:
            forwarding = [
                tasks.create_task(_forward(stop, self._stopping), name="wait for the stop"),
                tasks.create_task(_forward(hurry or asyncio.Event(), self._hurrying), name="wait for a hurried stop"),
            ]
            for group in groups:
                group.start(tasks)
            await self._stopping.wait()
            _log.info("stopping")
            for controller in operator.controllers:
                controller.stop()
            await controllers.wait(self._hurrying)
            for group in reversed(groups):
                group.cancel()
            for task in forwarding:
                task.cancel()

    def _end_at_once(self) -> None:
        self._stopping.set()
        self._hurrying.set()


def _hidden_from_runs(options: Options, metrics: Metrics) -> tuple[str, ...] | None:
    """Return the files that runs must not read, None: runs are not confined. Say where that cannot be held.

    Blocks: a process tries it.
    """
    if not options.confine_runs:
        metrics.runs_confined(False)
        _log.warning("runs are not confined", reason="--confine-runs=false")
        return None
    hidden = credential_files(options.kubeconfig, os.environ)
    problems = confinement.problems(hidden)
    metrics.runs_confined(not problems)
    for problem in problems:
        _log.warning("runs are not confined", reason=problem)
    return hidden


async def _forward(source: asyncio.Event, target: asyncio.Event) -> None:
    """Set one event once the other is set."""
    await source.wait()
    target.set()
