"""Runs a manager in this process: signals, garbage collection, exit code."""

from __future__ import annotations

import asyncio
import gc
import signal

from reconcile_runner.execution.pool import Engine
from reconcile_runner.logs import get_logger
from reconcile_runner.manager.manager import Manager
from reconcile_runner.options import Options
from reconcile_runner.watches.watch import Watch

_log = get_logger(__name__)


async def run(options: Options, watches: tuple[Watch, ...], engine: Engine | None = None) -> int:
    """Reconcile until SIGINT or SIGTERM; return the exit code.

    It is 1 where leadership was lost. ``engine`` runs the jobs instead of the one that the options name. A second
    signal ends running jobs at once instead of waiting ``graceful_shutdown_timeout``. Raises ``ConfigError`` where a
    start is impossible.
    """
    _tune_garbage_collection()
    stop, hurry = asyncio.Event(), asyncio.Event()
    _handle_signals(stop, hurry)
    async with Manager(options, watches, engine) as manager:
        await manager.serve(stop, hurry)
    _log.info("stopped")
    return 1 if manager.has_lost_leadership else 0


def _tune_garbage_collection() -> None:
    """Exempt what was imported from garbage collection.

    With large caches, a full collection blocks the event loop for 80 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _handle_signals(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    def on_signal() -> None:
        if stop.is_set():
            hurry.set()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
