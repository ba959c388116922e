"""Runs that make no progress: Ansible has told nothing of them for a while.

A task that waits for something that never comes looks so, as does a run whose processes were stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from reconcile_runner.clock import Clock, Timer
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.logs import get_logger
from reconcile_runner.metrics import Metrics

SILENCE_TIMEOUT: Final = 300.0
"""Seconds without an event after which a run is silent, until the next one comes: a warning and a metric."""

UNREADY_TIMEOUT: Final = 900.0
"""Seconds without an event in the runs of all workers after which the operator is not ready."""

_log = get_logger(__name__)


class RunWatch:
    """One run. ``heard`` is to be called with each of its events, ``end`` once."""

    def __init__(self, ident: str, clock: Clock) -> None:
        self.ident = ident
        self._clock = clock
        self._task = ""
        self._last = clock.monotonic()
        self._warned_of: float | None = None
        self._timer: Timer = clock.call_later(SILENCE_TIMEOUT, self._look)

    @property
    def silence(self) -> float:
        """Return the seconds since the last event."""
        return self._clock.monotonic() - self._last

    def heard(self, event: JobEvent) -> None:
        """Note that Ansible has told something."""
        self._last = self._clock.monotonic()
        self._task = event.task or self._task

    def end(self) -> None:
        """Note that the run has ended."""
        self._timer.cancel()

    def _look(self) -> None:
        """Warn of a silent run, once. Events come by the hundred, so it is this that sets the timer again, not they."""
        silence = self.silence
        is_silent = silence >= SILENCE_TIMEOUT
        if is_silent and self._last != self._warned_of:
            self._warned_of = self._last
            _log.warning("a run makes no progress", job=self.ident, task=self._task, seconds=round(silence))
        self._timer = self._clock.call_later(SILENCE_TIMEOUT - (0.0 if is_silent else silence), self._look)


class SilentRuns:
    """The runs of one controller, and which of them are silent."""

    def __init__(self, controller: str, metrics: Metrics, clock: Clock) -> None:
        self._runs: set[RunWatch] = set()
        self._clock = clock
        metrics.show_silent_runs(controller, lambda: len(self._silent_for(SILENCE_TIMEOUT)))

    @contextmanager
    def watch(self, ident: str) -> Iterator[RunWatch]:
        """Watch a run while the block lasts."""
        run = RunWatch(ident, self._clock)
        self._runs.add(run)
        try:
            yield run
        finally:
            self._runs.discard(run)
            run.end()

    def problem(self, workers: int) -> str | None:
        """Name the runs if each of the workers has a silent one, so that no other object gets its turn; else None."""
        stuck = self._silent_for(UNREADY_TIMEOUT)
        if len(stuck) < workers:
            return None
        return f"every worker has a run that makes no progress: job {', '.join(stuck)}"

    def _silent_for(self, seconds: float) -> list[str]:
        return sorted(run.ident for run in self._runs if run.silence >= seconds)
