"""Builds the result of a run from its events.

What it keeps is bounded, however long a run is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from reconcile_runner.apimachinery.duration import parse_duration
from reconcile_runner.compat import REQUEUE_AFTER_ACTIONS, STATUS_ACTIONS
from reconcile_runner.execution import failuretext
from reconcile_runner.execution.job import RunResult, RunStats, RunStatus, TaskFailure
from reconcile_runner.execution.jobevent import EventKind, JobEvent
from reconcile_runner.execution.launcherclient import LauncherReport

HOST = "localhost"
"""The host whose counts are reported, as upstream does."""

_FAILURE_COUNTS = ("failures", "dark")
"""Ansible's counts of tasks that failed, and of hosts that were unreachable."""

_MAX_FAILURES = 50
_MAX_LOST_STATUSES = 10
_MAX_ITEMS = 10
_MAX_LINES = 200


@dataclass(frozen=True, slots=True)
class _Failure:
    """A failure that may be rescued later.

    ``count`` names the statistic that counts it if it is not.
    """

    host: str
    count: str
    failure: TaskFailure


class ResultBuilder:
    """Builds a run's result from its events.

    ``add`` them in order, then call ``finished`` or ``timed_out``.
    """

    def __init__(self) -> None:
        self._failures: deque[_Failure] = deque(maxlen=_MAX_FAILURES)
        self._items: deque[str] = deque(maxlen=_MAX_ITEMS)
        self._lines: deque[str] = deque(maxlen=_MAX_LINES)
        self._stats: dict[str, dict[str, int]] | None = None
        self._play: JobEvent | None = None
        self._unmatched: JobEvent | None = None
        self._task: JobEvent | None = None
        self._lost_statuses: list[TaskFailure] = []
        self._requeue_after: float | None = None

    def add(self, event: JobEvent) -> None:
        """Add the next event."""
        match event.kind:
            case EventKind.PLAYBOOK_ON_PLAY_START:
                self._play = event
            case EventKind.PLAYBOOK_ON_NO_HOSTS_MATCHED:
                self._unmatched = self._unmatched or self._play
            case EventKind.PLAYBOOK_ON_TASK_START:
                self._task = event
                self._items.clear()
            case EventKind.RUNNER_ITEM_ON_FAILED:
                self._items.append(failuretext.of_event(event))
            case EventKind.RUNNER_ON_FAILED:
                self._add_failure(event, "failures")
            case EventKind.RUNNER_ON_UNREACHABLE:
                self._add_failure(event, "dark")
            case EventKind.RUNNER_ON_OK | EventKind.RUNNER_ITEM_ON_OK:
                self._add_requeue(event)
            case EventKind.PLAYBOOK_ON_STATS:
                self._stats = {count: by_host for count, by_host in event.data.items() if isinstance(by_host, dict)}
            case EventKind.VERBOSE | EventKind.ERROR:
                self._lines.extend(failuretext.plain(event.stdout).splitlines())

    def finished(self, report: LauncherReport, duration: float) -> RunResult:
        """Return the result of a run that came to its end. ``duration`` is in seconds."""
        if report.rc == 0 and self._stats is not None and not self._has_played_nothing():
            return self._result(RunStatus.SUCCESSFUL, (), "", duration)
        failures = self._final_failures()
        message = failuretext.of_failures(map(str, failures)) or self._message_without_failure(report)
        return self._result(RunStatus.FAILED, failures, message, duration)

    def timed_out(self, limit: float, duration: float) -> RunResult:
        """Return the result of a run that was ended after ``limit`` seconds."""
        message = f"ended because it took longer than the limit of {limit:g} seconds{self._where()}"
        return self._result(RunStatus.TIMED_OUT, (), message, duration)

    def _result(self, status: RunStatus, failures: tuple[TaskFailure, ...], message: str, duration: float) -> RunResult:
        return RunResult(
            status,
            self._run_stats(),
            failures,
            message,
            duration,
            self._requeue_after,
            has_begun=self._task is not None,
            lost_statuses=tuple(self._lost_statuses),
        )

    def _has_played_nothing(self) -> bool:
        """Tell whether no play of the run found a host. An empty play of a host that is there has played."""
        return self._unmatched is not None and not (self._stats or {}).get("processed")

    def _add_failure(self, event: JobEvent, count: str) -> None:
        message = failuretext.of_event(event, list(self._items))
        host = "" if event.host == HOST else event.host
        failure = TaskFailure(event.task, message, event.task_path, host)
        if not event.ignore_errors:
            self._failures.append(_Failure(event.host, count, failure))
        elif event.task_action in STATUS_ACTIONS and len(self._lost_statuses) < _MAX_LOST_STATUSES:
            self._lost_statuses.append(failure)

    def _add_requeue(self, event: JobEvent) -> None:
        period = event.res.get("period")
        if event.task_action not in REQUEUE_AFTER_ACTIONS or not isinstance(period, str):
            return
        try:
            seconds = parse_duration(period)
        except ValueError:
            return
        if self._requeue_after is None:
            self._requeue_after = seconds

    def _final_failures(self) -> tuple[TaskFailure, ...]:
        """Return the failures that were not rescued.

        An event does not show whether its failure is rescued later, but the statistics count those that were not. A
        host stops at the first of those, except for ``always`` and handlers, so they are the last ones of their host.
        """
        if self._stats is None:
            return tuple(each.failure for each in self._failures)
        final: list[TaskFailure] = []
        remaining = {
            (host, count): number for count in _FAILURE_COUNTS for host, number in self._stats.get(count, {}).items()
        }
        for each in reversed(self._failures):
            if remaining.get((each.host, each.count), 0) > 0:
                remaining[each.host, each.count] -= 1
                final.append(each.failure)
        return tuple(reversed(final))

    def _message_without_failure(self, report: LauncherReport) -> str:
        if report.rc is None:
            return f"ansible-playbook was killed{self._where()}"
        if self._unmatched is not None and self._has_played_nothing():
            return f"nothing was run: no host matches the play {_name_of(self._unmatched)}"
        if report.rc == 0:
            return "Ansible ended without having played anything (there was no playbook_on_stats event)"
        if report.stdout_callback and failuretext.is_missing_callback(self._lines):
            return f"ANSIBLE_STDOUT_CALLBACK: found {report.stdout_callback!r}, expected a callback that is installed"
        message = failuretext.of_output(self._lines)
        return (message or f"ansible-playbook ended with exit code {report.rc} and printed no error") + self._where()

    def _where(self) -> str:
        if self._task is None:
            return ""
        place = f" ({self._task.task_path})" if self._task.task_path else ""
        return f", in the task '{self._task.task}'{place}"

    def _run_stats(self) -> RunStats | None:
        if self._stats is None:
            return None
        counts = {count: _integer(by_host.get(HOST)) for count, by_host in self._stats.items()}
        return RunStats(
            ok=counts.get("ok", 0),
            changed=counts.get("changed", 0),
            skipped=counts.get("skipped", 0),
            failures=sum(sum(map(_integer, self._stats.get(count, {}).values())) for count in _FAILURE_COUNTS),
        )


def _name_of(play: JobEvent) -> str:
    """Return a play's name, with its hosts and its playbook."""
    return f"'{play.play}' (hosts: {play.data.get('pattern', '')}) of {play.data.get('playbook', '')}"


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0
