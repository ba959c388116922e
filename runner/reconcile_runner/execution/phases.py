"""How long the phases of one run take, measured by its job events.

It is independent of the engine, so that all engines are measured alike.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconcile_runner.clock import Clock
from reconcile_runner.execution.jobevent import EventKind, JobEvent
from reconcile_runner.metrics import Phase

_TASK_ENDED = frozenset({EventKind.RUNNER_ON_OK, EventKind.RUNNER_ON_FAILED, EventKind.RUNNER_ON_UNREACHABLE})


class RunPhases:
    """The phases of one run in an engine, in seconds.

    - ``FORK``: until Ansible's first event: finding or starting a process, reading the inputs
    - ``MODULES``: the tasks' own time as Ansible reports it, with action plugins
    - ``PLAY``: the rest until the play's statistics: loading the role, templates, variables, the strategy
    - ``TEARDOWN``: from there until the engine has the result: the process ends, artifacts are completed

    A phase that the run did not reach is 0.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._first: float | None = None
        self._stats: float | None = None
        self._tasks = 0.0

    def add(self, event: JobEvent) -> None:
        """Add the next event, which has come now."""
        now = self._clock.monotonic()
        if self._first is None:
            self._first = now
        if event.kind is EventKind.PLAYBOOK_ON_STATS:
            self._stats = now
        elif event.kind in _TASK_ENDED:
            duration = event.data.get("duration")
            self._tasks += duration if isinstance(duration, int | float) else 0.0

    def finished(self) -> Mapping[Phase, float]:
        """Return the seconds of each phase of the run, which has ended now."""
        now = self._clock.monotonic()
        first = now if self._first is None else self._first
        stats = now if self._stats is None else self._stats
        return {
            Phase.FORK: first - self._started,
            # Tasks on several hosts overlap: their sum may be more than the play took.
            Phase.PLAY: max(0.0, stats - first - self._tasks),
            Phase.MODULES: self._tasks,
            Phase.TEARDOWN: now - stats,
        }
