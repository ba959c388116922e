"""Prometheus metrics: what each is called, and the only methods that write them.

Names, labels and help texts are those of controller-runtime,
client-go and upstream's `ansible-operator` where they have the metric, so that existing dashboards work;
docs/reference/metrics.md lists them.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.bounds import DEFAULT_BOUNDS, Bound, Bounds


class ReconcileResult(enum.StrEnum):
    """How a reconcile ended, in the words of ``controller_runtime_reconcile_total``."""

    SUCCESS = "success"
    REQUEUE_AFTER = "requeue_after"
    ERROR = "error"


class ProxyAnswer(enum.StrEnum):
    """Where the proxy got the answer to a run's request."""

    CACHE = "cache"
    API_SERVER = "api_server"
    REFUSED = "refused"


class RequestScope(enum.StrEnum):
    """Where the objects of a run's request are.

    In the namespace of the object that the run is for, in another one, or in none or all of them.
    """

    OWN = "own"
    OTHER = "other"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class UsedRight:
    """What a request of a run needs a right for. ``resource`` may have a subresource (``pods/exec``)."""

    group: str
    resource: str
    verb: str
    scope: RequestScope


class Phase(enum.StrEnum):
    """Where the time of a run goes, in order.

    ``execution.phases`` says which event ends which.
    """

    QUEUE = "queue"
    PREPARE = "prepare"
    FORK = "fork"
    PLAY = "play"
    MODULES = "modules"
    TEARDOWN = "teardown"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Definition:
    """What a metric is called and says.

    ``buckets`` is for histograms only, in seconds.
    """

    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = Histogram.DEFAULT_BUCKETS


_RECONCILE_BUCKETS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5),
    *(1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0),
)
_QUEUE_BUCKETS: Final = tuple(10.0**exponent for exponent in range(-8, 4))
_RUN_BUCKETS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_PHASE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
_QUEUE: Final = ("name", "controller")

BUILD_INFO: Final = Definition(
    "ansible_operator_build_info", "Build information for the ansible-operator binary", ("commit", "version")
)
RECONCILE_RESULT: Final = Definition(
    "ansible_operator_reconcile_result", "Gauge of reconciles and their results.", ("GVK", "result")
)
RECONCILES: Final = Definition("ansible_operator_reconciles", "How long in seconds a reconcile takes.", ("GVK",))
RESOURCE_CREATED_AT: Final = Definition(
    "resource_created_at_seconds",
    "Timestamp at which a resource was created",
    ("name", "namespace", "group", "version", "kind"),
)
RECONCILE_TOTAL: Final = Definition(
    "controller_runtime_reconcile_total", "Total number of reconciliations per controller", ("controller", "result")
)
RECONCILE_ERRORS: Final = Definition(
    "controller_runtime_reconcile_errors_total",
    "Total number of reconciliation errors per controller",
    ("controller",),
)
TERMINAL_RECONCILE_ERRORS: Final = Definition(
    "controller_runtime_terminal_reconcile_errors_total",
    "Total number of terminal reconciliation errors per controller",
    ("controller",),
)
RECONCILE_PANICS: Final = Definition(
    "controller_runtime_reconcile_panics_total", "Total number of reconciliation panics per controller", ("controller",)
)
RECONCILE_TIME: Final = Definition(
    "controller_runtime_reconcile_time_seconds",
    "Length of time per reconciliation per controller",
    ("controller",),
    _RECONCILE_BUCKETS,
)
MAX_CONCURRENT_RECONCILES: Final = Definition(
    "controller_runtime_max_concurrent_reconciles",
    "Maximum number of concurrent reconciles per controller",
    ("controller",),
)
ACTIVE_WORKERS: Final = Definition(
    "controller_runtime_active_workers", "Number of currently used workers per controller", ("controller",)
)
QUEUE_DEPTH: Final = Definition(
    "workqueue_depth", "Current depth of workqueue by workqueue and priority", (*_QUEUE, "priority")
)
QUEUE_ADDS: Final = Definition("workqueue_adds_total", "Total number of adds handled by workqueue", _QUEUE)
QUEUE_DURATION: Final = Definition(
    "workqueue_queue_duration_seconds",
    "How long in seconds an item stays in workqueue before being requested",
    _QUEUE,
    _QUEUE_BUCKETS,
)
WORK_DURATION: Final = Definition(
    "workqueue_work_duration_seconds",
    "How long in seconds processing an item from workqueue takes.",
    _QUEUE,
    _QUEUE_BUCKETS,
)
UNFINISHED_WORK: Final = Definition(
    "workqueue_unfinished_work_seconds",
    "How many seconds of work has been done that is in progress and hasn't been observed by work_duration. "
    "Large values indicate stuck threads. One can deduce the number of stuck threads by observing the rate at which "
    "this increases.",
    _QUEUE,
)
LONGEST_RUNNING: Final = Definition(
    "workqueue_longest_running_processor_seconds",
    "How many seconds has the longest running processor for workqueue been running.",
    _QUEUE,
)
QUEUE_RETRIES: Final = Definition("workqueue_retries_total", "Total number of retries handled by workqueue", _QUEUE)
CLIENT_REQUESTS: Final = Definition(
    "rest_client_requests_total",
    "Number of HTTP requests, partitioned by status code, method, and host.",
    ("code", "method", "host"),
)
LEADER_STATUS: Final = Definition(
    "leader_election_master_status",
    "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master. 'name' "
    "is the string used to identify the lease. Please make sure to group by name.",
    ("name",),
)
RUN_DURATION: Final = Definition(
    "reconcile_runner_run_duration_seconds",
    "How long in seconds a run of a role or playbook takes, by how it ended",
    ("controller", "status"),
    _RUN_BUCKETS,
)
PHASE_DURATION: Final = Definition(
    "reconcile_runner_phase_seconds",
    "How long in seconds each phase of a run takes",
    ("controller", "phase"),
    _PHASE_BUCKETS,
)
TRIGGER_EVENTS: Final = Definition(
    "reconcile_runner_trigger_events_total",
    "Total number of events of trigger objects that reconcile at least one object",
    ("controller", "trigger"),
)
TRIGGERED_REQUESTS: Final = Definition(
    "reconcile_runner_triggered_requests_total",
    "Total number of objects that events of trigger objects asked to reconcile",
    ("controller", "trigger"),
)

DEPENDENT_EVENTS: Final = Definition(
    "reconcile_runner_dependent_events_total",
    "Total number of events of dependents that reconcile at least one owner",
    ("controller", "dependent"),
)
STATUS_REFUSED: Final = Definition(
    "reconcile_runner_status_refused_total",
    "Total number of status writes that the API server refused",
    ("controller",),
)
RUNS_CONFINED: Final = Definition(
    "reconcile_runner_runs_confined",
    "Whether runs are kept from the operator's credentials and from processes of others: 1 wholly, 0 not or in part",
)
SILENT_RUNS: Final = Definition(
    "reconcile_runner_silent_runs",
    "Runs of which Ansible has told nothing for five minutes, at the time of the scrape",
    ("controller",),
)
UNREADABLE_ANSWERS: Final = Definition(
    "reconcile_runner_unreadable_answers_total",
    "Total number of lists and watches of a kind that could not be read at the same place again",
    ("gvk",),
)
BOUND: Final = Definition(
    "reconcile_runner_bound", "How much who may edit an object can ask for at most, by what it is", ("bound",)
)
BOUND_REACHED: Final = Definition(
    "reconcile_runner_bound_reached_total",
    "Total number of times that a bound took the place of what was asked for",
    ("bound",),
)
PROXY_REQUESTS: Final = Definition(
    "reconcile_runner_proxy_requests_total",
    "Total number of requests of runs, by where the proxy got the answer",
    ("answer",),
)
RIGHTS_USED: Final = Definition(
    "reconcile_runner_rights_used_total",
    "Total number of requests of runs, by the right that each needs",
    ("group", "resource", "verb", "scope"),
)

DEFINITIONS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Definition))
"""Every metric but those of the process, which ``prometheus_client`` names (``process_*``)."""


class QueueMetrics:
    """The metrics of one workqueue. ``workqueue`` calls these."""

    def __init__(self, metrics: Metrics, name: str, priorities: type[enum.IntEnum]) -> None:
        labels = (name, name)
        self._adds = metrics.queue_adds.labels(*labels)
        self._waited = metrics.queue_duration.labels(*labels)
        self._queue_phase = metrics.phase_duration.labels(name, Phase.QUEUE)
        self._worked = metrics.work_duration.labels(*labels)
        self._retries = metrics.queue_retries.labels(*labels)
        self._depth = {priority: metrics.queue_depth.labels(*labels, str(int(priority))) for priority in priorities}

    def added(self) -> None:
        """Count a request that was not waiting already."""
        self._adds.inc()

    def waiting(self, priority: enum.IntEnum, count: int) -> None:
        """Say how many requests of a priority are ready and wait for a worker."""
        self._depth[priority].set(count)

    def taken(self, waited: float) -> None:
        """Count a request that a worker took after ``waited`` seconds."""
        self._waited.observe(waited)
        self._queue_phase.observe(waited)

    def done(self, seconds: float) -> None:
        """Count a request that a worker was done with after ``seconds``."""
        self._worked.observe(seconds)

    def retried(self) -> None:
        """Count a retry after a failure."""
        self._retries.inc()


class ControllerMetrics:
    """The metrics of one controller. ``controller`` calls these."""

    def __init__(self, metrics: Metrics, controller: str, gvk: GroupVersionKind, workers: int) -> None:
        metrics.max_concurrent_reconciles.labels(controller).set(workers)
        self._active = metrics.active_workers.labels(controller)
        self._errors = metrics.reconcile_errors.labels(controller)
        self._terminal_errors = metrics.terminal_reconcile_errors.labels(controller)
        self._panics = metrics.reconcile_panics.labels(controller)
        self._seconds = metrics.reconcile_time.labels(controller)
        self._totals = {result: metrics.reconcile_total.labels(controller, result) for result in ReconcileResult}
        self._upstream_seconds = metrics.reconciles.labels(str(gvk))
        self._upstream_succeeded = metrics.reconcile_result.labels(str(gvk), "succeeded")
        self._upstream_failed = metrics.reconcile_result.labels(str(gvk), "failed")

    def started(self) -> None:
        """Say that one more worker is busy."""
        self._active.inc()

    def stopped(self) -> None:
        """Say that a worker is free again, however its reconcile ended."""
        self._active.dec()

    def finished(self, result: ReconcileResult, seconds: float) -> None:
        """Count a reconcile that ended by itself after ``seconds``.

        One that was cancelled is not counted.
        """
        self._totals[result].inc()
        self._seconds.observe(seconds)
        if result is ReconcileResult.ERROR:
            self._errors.inc()

    def tried(self, seconds: float, *, succeeded: bool) -> None:
        """Count a reconcile that had something to do: upstream counts these, by kind."""
        self._upstream_seconds.observe(seconds)
        (self._upstream_succeeded if succeeded else self._upstream_failed).inc()

    def panicked(self) -> None:
        """Count an exception that a reconciler let out."""
        self._panics.inc()


class _CreationTimes:
    """``resource_created_at_seconds``, kept as text.

    With 100,000 objects a scrape must not stop the event loop.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lines: dict[tuple[GroupVersionKind, ObjectKey], str] = {}

    def set(self, gvk: GroupVersionKind, key: ObjectKey, created_at: float) -> bool:
        """Show an object; return whether there was room for it."""
        if (gvk, key) not in self._lines and len(self._lines) >= self._limit:
            return False
        values = (key.name, key.namespace, gvk.group, gvk.version, gvk.kind)
        labels = ",".join(
            f'{label}="{_escaped(value)}"' for label, value in zip(RESOURCE_CREATED_AT.labels, values, strict=True)
        )
        self._lines[gvk, key] = f"{RESOURCE_CREATED_AT.name}{{{labels}}} {created_at!r}\n"
        return True

    def remove(self, gvk: GroupVersionKind, key: ObjectKey) -> None:
        self._lines.pop((gvk, key), None)

    def exposition(self) -> bytes:
        name, text = RESOURCE_CREATED_AT.name, RESOURCE_CREATED_AT.help
        return f"# HELP {name} {text}\n# TYPE {name} gauge\n{''.join(self._lines.values())}".encode()


def _escaped(value: str) -> str:
    """Return a label's value as the text format wants it.

    Names of some kinds (roles, say) may hold quotes.
    """
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Metrics:
    """Every metric of one operator, in a registry of its own.

    ``version`` and ``commit`` go to the build info; ``commit`` may be empty. ``bounds`` are shown, and hold for series.
    """

    content_type: Final = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, version: str = "", commit: str = "", bounds: Bounds = DEFAULT_BOUNDS) -> None:
        # Go clients have no *_created series; they would double what a scrape costs.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._gauge(BUILD_INFO).labels(commit=commit, version=version).set(1)
        self.reconcile_result = self._gauge(RECONCILE_RESULT)
        self.reconciles = self._histogram(RECONCILES)
        self.reconcile_total = self._counter(RECONCILE_TOTAL)
        self.reconcile_errors = self._counter(RECONCILE_ERRORS)
        self.terminal_reconcile_errors = self._counter(TERMINAL_RECONCILE_ERRORS)
        self.reconcile_panics = self._counter(RECONCILE_PANICS)
        self.reconcile_time = self._histogram(RECONCILE_TIME)
        self.max_concurrent_reconciles = self._gauge(MAX_CONCURRENT_RECONCILES)
        self.active_workers = self._gauge(ACTIVE_WORKERS)
        self.queue_depth = self._gauge(QUEUE_DEPTH)
        self.queue_adds = self._counter(QUEUE_ADDS)
        self.queue_duration = self._histogram(QUEUE_DURATION)
        self.work_duration = self._histogram(WORK_DURATION)
        self.queue_retries = self._counter(QUEUE_RETRIES)
        self._unfinished_work = self._gauge(UNFINISHED_WORK)
        self._longest_running = self._gauge(LONGEST_RUNNING)
        self._created_at = _CreationTimes(bounds.metric_series)
        self._bound_reached = self._counter(BOUND_REACHED)
        shown = self._gauge(BOUND)
        for bound in Bound:
            shown.labels(bound).set(bounds.value(bound))
        self._client_requests = self._counter(CLIENT_REQUESTS)
        self._leader_status = self._gauge(LEADER_STATUS)
        self._run_duration = self._histogram(RUN_DURATION)
        self.phase_duration = self._histogram(PHASE_DURATION)
        self._trigger_events = self._counter(TRIGGER_EVENTS)
        self._triggered_requests = self._counter(TRIGGERED_REQUESTS)
        self._dependent_events = self._counter(DEPENDENT_EVENTS)
        self._status_refused = self._counter(STATUS_REFUSED)
        self._runs_confined = self._gauge(RUNS_CONFINED)
        self._silent_runs = self._gauge(SILENT_RUNS)
        self._unreadable_answers = self._counter(UNREADABLE_ANSWERS)
        self._proxy_requests = self._counter(PROXY_REQUESTS)
        self._rights_used = self._counter(RIGHTS_USED)

    def for_queue(
        self,
        name: str,
        priorities: type[enum.IntEnum],
        unfinished: Callable[[], float],
        longest: Callable[[], float],
    ) -> QueueMetrics:
        """Return the metrics of the queue of the controller ``name``.

        At each scrape ``unfinished`` is asked for the summed and ``longest`` for the greatest age of requests in work,
        both in seconds.
        """
        self._unfinished_work.labels(name, name).set_function(unfinished)
        self._longest_running.labels(name, name).set_function(longest)
        return QueueMetrics(self, name, priorities)

    def for_controller(self, name: str, gvk: GroupVersionKind, workers: int) -> ControllerMetrics:
        """Return the metrics of the controller ``name``, which reconciles ``gvk``."""
        return ControllerMetrics(self, name, gvk, workers)

    def show_leadership(self, lease: str, is_leading: Callable[[], bool]) -> None:
        """Show whether this operator leads, which is asked at each scrape.

        ``lease`` is the Lease's name.
        """
        self._leader_status.labels(lease).set_function(lambda: float(is_leading()))

    def runs_confined(self, wholly: bool) -> None:
        """Say whether all that runs are to be kept from is kept from them."""
        self._runs_confined.set(float(wholly))

    def show_silent_runs(self, controller: str, count: Callable[[], int]) -> None:
        """Show how many runs of a controller make no progress, which is asked at each scrape."""
        self._silent_runs.labels(controller).set_function(count)

    def answer_unreadable(self, gvk: GroupVersionKind) -> None:
        """Count a list or watch of a kind that could not be read at the same place again."""
        self._unreadable_answers.labels(str(gvk)).inc()

    def run_finished(self, controller: str, status: enum.StrEnum, seconds: float) -> None:
        """Count a run of a role or playbook that took ``seconds``.

        ``status`` is its ``RunStatus``.
        """
        self._run_duration.labels(controller, str(status)).observe(seconds)

    def phase_finished(self, controller: str, phase: Phase, seconds: float) -> None:
        """Count a phase of a run that took ``seconds``."""
        self.phase_duration.labels(controller, phase).observe(seconds)

    def trigger_fired(self, controller: str, trigger: GroupVersionKind, requests: int) -> None:
        """Count an event of a trigger's object that enqueued ``requests`` (> 0) objects."""
        self._trigger_events.labels(controller, str(trigger)).inc()
        self._triggered_requests.labels(controller, str(trigger)).inc(requests)

    def dependent_changed(self, controller: str, dependent: GroupVersionKind) -> None:
        """Count an event of a dependent that reconciles its owners."""
        self._dependent_events.labels(controller, str(dependent)).inc()

    def status_refused(self, controller: str) -> None:
        """Count a status write that the API server refused."""
        self._status_refused.labels(controller).inc()

    def bound_reached(self, bound: Bound) -> None:
        """Count that a bound took the place of what was asked for."""
        self._bound_reached.labels(bound).inc()

    def proxied(self, answer: ProxyAnswer) -> None:
        """Count a request of a run that the proxy has answered."""
        self._proxy_requests.labels(answer).inc()

    def right_used(self, right: UsedRight) -> None:
        """Count a request of a run by the right that it needs."""
        self._rights_used.labels(right.group, right.resource, right.verb, right.scope).inc()

    def resource_exists(self, gvk: GroupVersionKind, key: ObjectKey, created_at: float) -> None:
        """Show an object of a watch, created at ``created_at`` (seconds since 1970), if there is room for it."""
        if not self._created_at.set(gvk, key, created_at):
            self.bound_reached(Bound.METRIC_SERIES)

    def resource_gone(self, gvk: GroupVersionKind, key: ObjectKey) -> None:
        """Take away the series of an object that is gone."""
        self._created_at.remove(gvk, key)

    def request_finished(self, method: str, host: str, code: str) -> None:
        """Count an API request by the HTTP status of its answer.

        ``<error>``, as in client-go, where none came.
        """
        self._client_requests.labels(code, method, host).inc()

    def series_names(self) -> frozenset[str]:
        """Return the names that a scrape may show, so that no role uses one of them."""
        names = {definition.name for definition in DEFINITIONS}
        for family in self.registry.collect():
            names |= {family.name, *(sample.name for sample in family.samples)}
            if family.type == "histogram":
                names |= {f"{family.name}_{suffix}" for suffix in ("bucket", "sum", "count")}
        return frozenset(names)

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format."""
        return generate_latest(self.registry) + self._created_at.exposition()

    def _counter(self, definition: Definition) -> Counter:
        return Counter(definition.name, definition.help, definition.labels, registry=self.registry)

    def _gauge(self, definition: Definition) -> Gauge:
        return Gauge(definition.name, definition.help, definition.labels, registry=self.registry)

    def _histogram(self, definition: Definition) -> Histogram:
        return Histogram(
            definition.name, definition.help, definition.labels, registry=self.registry, buckets=definition.buckets
        )
