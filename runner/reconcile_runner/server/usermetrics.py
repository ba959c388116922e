"""Metrics of roles: what they may send, and what Prometheus then reads.

Format and meaning of a request are those of upstream's ``UserMetric``; docs/reference/metrics.md has the differences.
May be used from any thread.
"""

from __future__ import annotations

import enum
import json
import re
import threading
from typing import Annotated, Final, TypeAlias

from prometheus_client import CollectorRegistry, Gauge, Histogram, Summary, generate_latest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconcile_runner.errors import RunnerError
from reconcile_runner.logs import get_logger
from reconcile_runner.metrics import Metrics

HISTOGRAM_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Of histograms, as upstream's have them (Go's ``prometheus.DefBuckets``)."""

MAX_USER_METRICS: Final = 1000
"""A role that puts an object's name into a metric's must not fill the memory."""

MAX_SHOWN_CHARACTERS: Final = 100
"""Of a value in a message: a role may send anything."""

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*", re.ASCII)
_log = get_logger(__name__)

Number: TypeAlias = Annotated[float | None, Field(allow_inf_nan=False)]


class UserMetricError(RunnerError):
    """A request is refused; the message says what was found and what was expected."""


class UserMetricType(enum.StrEnum):
    """The types of metrics. A metric keeps the one with which it was made."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


_SUFFIXES: Final = {
    UserMetricType.COUNTER: ("",),
    UserMetricType.GAUGE: ("",),
    UserMetricType.HISTOGRAM: ("", "_bucket", "_sum", "_count"),
    UserMetricType.SUMMARY: ("", "_sum", "_count"),
}


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _CounterChange(_Model):
    increment: bool | None = None
    add: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None


class _GaugeChange(_Model):
    increment: bool | None = None
    decrement: bool | None = None
    add: Number = None
    subtract: Number = None
    set: Number = None
    set_to_current_time: bool | None = None


class _Observation(_Model):
    observe: Number = None


class _Request(_Model):
    name: str
    description: str = ""
    counter: _CounterChange | None = None
    gauge: _GaugeChange | None = None
    histogram: _Observation | None = None
    summary: _Observation | None = None

    def type(self) -> UserMetricType:
        given = [kind for kind in UserMetricType if getattr(self, kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise UserMetricError(f"found {found}, expected exactly one of {', '.join(UserMetricType)}")
        return given[0]


_EXPECTED: Final = {
    "request": "an object with name, description and one of counter, gauge, histogram, summary",
    "name": "the metric's name, a text",
    "description": "the metric's help, a text",
    "counter": f"an object with {', '.join(_CounterChange.model_fields)}",
    "counter.add": "a finite number, 0 or more",
    "gauge": f"an object with {', '.join(_GaugeChange.model_fields)}",
    "histogram": "an object with observe",
    "summary": "an object with observe",
}


class UserMetrics:
    """The metrics of one operator that its roles made.

    ``metrics`` are its own, whose names are refused.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._taken = dict.fromkeys(metrics.series_names(), "the operator's own")
        self._registry = CollectorRegistry()
        self._lock = threading.Lock()
        self._types: dict[str, UserMetricType] = {}
        self._counters: dict[str, Gauge] = {}
        self._gauges: dict[str, Gauge] = {}
        self._observers: dict[str, Histogram | Summary] = {}

    def apply(self, text: bytes) -> None:
        """Do what a request (JSON) asks for.

        Raises ``UserMetricError``; nothing has changed then.
        """
        try:
            request = _Request.model_validate_json(text)
        except ValidationError as error:
            raise UserMetricError(_explain(error)) from error
        kind = request.type()
        with self._lock:
            self._ensure(request, kind)
        if request.counter is not None:
            _change_counter(self._counters[request.name], request.counter)
        elif request.gauge is not None:
            _change_gauge(self._gauges[request.name], request.gauge)
        else:
            observation = request.histogram or request.summary
            if observation is not None and observation.observe is not None:
                self._observers[request.name].observe(observation.observe)

    def exposition(self) -> bytes:
        """Return all of them in Prometheus' text format; nothing where there are none."""
        with self._lock:
            counters = dict(self._counters)
        return generate_latest(self._registry) + "".join(map(_counter_text, counters.values())).encode()

    def _ensure(self, request: _Request, kind: UserMetricType) -> None:
        name = request.name
        known = self._types.get(name)
        if known is kind:
            return
        if known is not None:
            raise UserMetricError(f"{name}: found a {kind}, expected a {known}: the type of a metric does not change")
        if not _NAME.fullmatch(name):
            raise UserMetricError(f"name: found {name!r}, expected letters, digits, '_' and ':', and no digit first")
        if len(self._types) >= MAX_USER_METRICS:
            raise UserMetricError(
                f"{name}: there are {MAX_USER_METRICS} metrics already, which is as many as there may be"
            )
        series = [name + suffix for suffix in _SUFFIXES[kind]]
        for each in series:
            if each in self._taken:
                raise UserMetricError(f"{name}: the name {each} is taken: it is {self._taken[each]}; expected another")
        self._taken.update(dict.fromkeys(series, f"of the {kind} {name}"))
        self._types[name] = kind
        self._make(request, kind)
        _log.info("role created a metric", metric=name, type=str(kind))

    def _make(self, request: _Request, kind: UserMetricType) -> None:
        name, help_text = request.name, request.description
        match kind:
            case UserMetricType.COUNTER:
                # The library's counters end in _total, whatever they are called; upstream's have the name as it is.
                self._counters[name] = Gauge(name, help_text, registry=None)
            case UserMetricType.GAUGE:
                self._gauges[name] = Gauge(name, help_text, registry=self._registry)
            case UserMetricType.HISTOGRAM:
                self._observers[name] = Histogram(name, help_text, registry=self._registry, buckets=HISTOGRAM_BUCKETS)
            case UserMetricType.SUMMARY:
                self._observers[name] = Summary(name, help_text, registry=self._registry)


def _change_counter(counter: Gauge, change: _CounterChange) -> None:
    counter.inc(1 if change.increment else change.add or 0)


def _change_gauge(gauge: Gauge, change: _GaugeChange) -> None:
    """Apply the first change that the request names.

    A zero to add or to take away asks for nothing, as upstream.
    """
    if change.increment:
        gauge.inc()
    elif change.decrement:
        gauge.dec()
    elif change.add:
        gauge.inc(change.add)
    elif change.subtract:
        gauge.dec(change.subtract)
    elif change.set is not None:
        gauge.set(change.set)
    elif change.set_to_current_time:
        gauge.set_to_current_time()


def _counter_text(counter: Gauge) -> str:
    (family,) = counter.collect()
    help_text = family.documentation.replace("\\", r"\\").replace("\n", r"\n")
    value = family.samples[0].value
    return f"# HELP {family.name} {help_text}\n# TYPE {family.name} counter\n{family.name} {value!r}\n"


def _explain(error: ValidationError) -> str:
    """Return what is wrong first: the field, what was found and what was expected."""
    first = error.errors(include_url=False)[0]
    path = ".".join(map(str, first["loc"])) or "request"
    match first["type"]:
        case "json_invalid":
            return f"request: found {_shown(first['input'])}, expected JSON"
        case "missing":
            return f"{path}: is missing, expected {_expected(path)}"
        case "extra_forbidden":
            return f"{path}: is not a known field, expected {_expected(path.rpartition('.')[0] or 'request')}"
        case _:
            return f"{path}: found {_shown(first['input'])}, expected {_expected(path)}"


def _expected(path: str) -> str:
    """Return what a field should have been."""
    if path in _EXPECTED:
        return _EXPECTED[path]
    field = path.rpartition(".")[2]
    return "true or false" if field in {"increment", "decrement", "set_to_current_time"} else "a finite number"


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        return repr(value[:MAX_SHOWN_CHARACTERS])
    return json.dumps(value, default=str)[:MAX_SHOWN_CHARACTERS]
