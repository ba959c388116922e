"""What roles may send as metrics, what Prometheus reads then, and what is refused."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from reconcile_runner.metrics import DEFINITIONS, Metrics
from reconcile_runner.server.usermetrics import MAX_USER_METRICS, UserMetricError, UserMetrics


@pytest.fixture
def user_metrics() -> UserMetrics:
    return UserMetrics(Metrics())


def post(metrics: UserMetrics, name: str, **change: Any) -> None:
    metrics.apply(json.dumps({"name": name, "description": "What it says", **change}).encode())


def values(metrics: UserMetrics) -> dict[str, float]:
    """Return what is shown, by the names as dashboards spell them; buckets by ``name_bucket:le``."""
    text = metrics.exposition().decode()
    samples = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {re.sub(r'\{le="(.*)"\}', r":\1", name): float(value) for name, value in samples}


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        pytest.param([{}], 0, id="created"),
        pytest.param([{"increment": True}, {"increment": True}], 2, id="incremented"),
        pytest.param([{"add": 2.5}, {"add": 0}], 2.5, id="added to"),
        pytest.param([{"increment": True, "add": 5}], 1, id="increment wins"),
        pytest.param([{"increment": False, "add": None}], 0, id="not incremented"),
    ],
)
def test_a_counter(user_metrics: UserMetrics, changes: list[dict[str, Any]], value: float) -> None:
    for change in changes:
        post(user_metrics, "backups", counter=change)
    assert values(user_metrics) == {"backups": value}


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        pytest.param([{}], 0, id="created"),
        pytest.param([{"set": 5}, {"set": 0}], 0, id="set to zero, which upstream cannot"),
        pytest.param([{"set": 5}, {"increment": True}], 6, id="incremented"),
        pytest.param([{"decrement": True}], -1, id="decremented"),
        pytest.param([{"add": 7}, {"add": -2}], 5, id="added to"),
        pytest.param([{"subtract": 7}], -7, id="subtracted from"),
        pytest.param([{"increment": True, "decrement": True, "add": 5, "set": 9}], 1, id="increment wins"),
        pytest.param([{"decrement": True, "add": 5}], -1, id="then decrement"),
        pytest.param([{"add": 5, "subtract": 3}], 5, id="then add"),
        pytest.param([{"subtract": 3, "set": 9}], -3, id="then subtract"),
        pytest.param([{"add": 0, "set": 9, "set_to_current_time": True}], 9, id="then set"),
    ],
)
def test_a_gauge(user_metrics: UserMetrics, changes: list[dict[str, Any]], value: float) -> None:
    for change in changes:
        post(user_metrics, "kept", gauge=change)
    assert values(user_metrics) == {"kept": value}


def test_a_gauge_with_the_present_time(user_metrics: UserMetrics) -> None:
    before = time.time()
    post(user_metrics, "last_backup", gauge={"set_to_current_time": True})
    assert before <= values(user_metrics)["last_backup"] <= time.time()


def test_a_histogram_has_gos_buckets(user_metrics: UserMetrics) -> None:
    post(user_metrics, "seconds", histogram={"observe": 2})
    shown = values(user_metrics)
    assert (shown["seconds_sum"], shown["seconds_count"]) == (2, 1)
    buckets = {name.partition(":")[2]: value for name, value in shown.items() if "_bucket:" in name}
    below = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0"]
    assert buckets == dict.fromkeys(below, 0) | dict.fromkeys(["2.5", "5.0", "10.0", "+Inf"], 1)


def test_a_summary_has_sum_and_count(user_metrics: UserMetrics) -> None:
    post(user_metrics, "size", summary={"observe": 2})
    post(user_metrics, "size", summary={"observe": 0.5})
    assert values(user_metrics) == {"size_sum": 2.5, "size_count": 2}


@pytest.mark.parametrize("kind", ["histogram", "summary"])
def test_a_metric_that_is_created_has_observed_nothing(user_metrics: UserMetrics, kind: str) -> None:
    post(user_metrics, "size", **{kind: {}})
    assert values(user_metrics)["size_count"] == 0


def test_what_prometheus_reads_has_types_and_help(user_metrics: UserMetrics) -> None:
    post(user_metrics, "b:ackups_total", counter={}, description='Two\nlines, a \\ and a "')
    for kind in ("gauge", "histogram", "summary"):
        post(user_metrics, f"a_{kind}", **{kind: {}})
    families = {
        family.name: (family.type, family.documentation)
        for family in text_string_to_metric_families(user_metrics.exposition().decode())
    }
    assert families == {
        # The parser takes the suffix away, as OpenMetrics has it.
        "b:ackups": ("counter", 'Two\nlines, a \\ and a "'),
        "a_gauge": ("gauge", "What it says"),
        "a_histogram": ("histogram", "What it says"),
        "a_summary": ("summary", "What it says"),
    }


def test_a_counter_is_called_as_the_role_calls_it(user_metrics: UserMetrics) -> None:
    post(user_metrics, "backups", counter={})
    assert "# TYPE backups counter\nbackups 0.0\n" in user_metrics.exposition().decode()


def test_a_later_description_is_no_reason_to_refuse(user_metrics: UserMetrics) -> None:
    post(user_metrics, "backups", counter={})
    post(user_metrics, "backups", counter={"increment": True}, description="Another text")
    assert values(user_metrics) == {"backups": 1}


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({"name": "a"}, "found none, expected exactly one of counter, gauge, histogram, summary"),
        ({"name": "a", "counter": {}, "gauge": {}}, "found counter and gauge, expected exactly one of"),
        ({"counter": {}}, "name: is missing, expected the metric's name, a text"),
        ({"name": 3, "counter": {}}, "name: found 3, expected the metric's name, a text"),
        ({"name": "1a", "counter": {}}, "name: found '1a', expected letters, digits"),
        ({"name": "a-b", "counter": {}}, "name: found 'a-b', expected letters, digits"),
        ({"name": "a\n", "counter": {}}, "expected letters, digits"),
        ({"name": "ä", "counter": {}}, "expected letters, digits"),
        ({"name": "a", "counter": {"add": -1}}, "counter.add: found -1, expected a finite number, 0 or more"),
        ({"name": "a", "counter": {"add": "1"}}, "counter.add: found '1', expected a finite number, 0 or more"),
        ({"name": "a", "gauge": {"set": True}}, "gauge.set: found true, expected a finite number"),
        ({"name": "a", "gauge": {"set": float("inf")}}, "gauge.set: found Infinity, expected a finite number"),
        (
            {"name": "a", "counter": {"incremnt": True}},
            "counter.incremnt: is not a known field, expected an object with increment, add",
        ),
        (
            {"name": "a", "counter": {}, "labels": {}},
            "labels: is not a known field, expected an object with name, description and one of",
        ),
        (["a"], 'request: found ["a"], expected an object with name'),
        ({"name": "a", "gauge": 3}, "gauge: found 3, expected an object with increment, decrement, add"),
        ({"name": "a", "gauge": {"increment": 1}}, "gauge.increment: found 1, expected true or false"),
        ({"name": ["x" * 200], "gauge": {}}, f'name: found ["{"x" * 98}, expected'),
    ],
)
def test_a_bad_request_is_refused_and_changes_nothing(user_metrics: UserMetrics, body: object, complaint: str) -> None:
    with pytest.raises(UserMetricError) as caught:
        user_metrics.apply(json.dumps(body).encode())
    assert complaint in str(caught.value)
    assert user_metrics.exposition() == b""


def test_what_is_no_json_is_refused(user_metrics: UserMetrics) -> None:
    with pytest.raises(UserMetricError, match="request: found 'backups 1', expected JSON"):
        user_metrics.apply(b"backups 1")


@pytest.mark.parametrize("other", ["gauge", "histogram", "summary"])
def test_a_metric_keeps_its_type(user_metrics: UserMetrics, other: str) -> None:
    post(user_metrics, "backups", counter={"increment": True})
    with pytest.raises(UserMetricError, match=f"backups: found a {other}, expected a counter"):
        post(user_metrics, "backups", **{other: {}})
    assert values(user_metrics) == {"backups": 1}


OWN = [
    *(definition.name for definition in DEFINITIONS),
    "process_cpu_seconds_total",
    "controller_runtime_reconcile_time_seconds_count",
    "ansible_operator_reconciles_bucket",
]


@pytest.mark.parametrize("name", OWN)
def test_the_operators_own_names_are_refused(user_metrics: UserMetrics, name: str) -> None:
    with pytest.raises(UserMetricError, match=f"the name {name} is taken: it is the operator's own"):
        post(user_metrics, name, gauge={})


def test_a_name_is_refused_whose_suffix_would_clash(user_metrics: UserMetrics) -> None:
    post(user_metrics, "size", summary={})
    with pytest.raises(UserMetricError, match="the name size_sum is taken: it is of the summary size"):
        post(user_metrics, "size_sum", gauge={})
    post(user_metrics, "seconds_count", gauge={})
    with pytest.raises(UserMetricError, match="the name seconds_count is taken: it is of the gauge seconds_count"):
        post(user_metrics, "seconds", histogram={})
    post(user_metrics, "seconds", gauge={})


def test_there_is_an_end_to_new_names(user_metrics: UserMetrics) -> None:
    for number in range(MAX_USER_METRICS):
        post(user_metrics, f"of_object_{number}", counter={})
    with pytest.raises(UserMetricError, match=f"there are {MAX_USER_METRICS} metrics already"):
        post(user_metrics, "one_more", counter={})
    post(user_metrics, "of_object_0", counter={"increment": True})


def test_threads_lose_nothing(user_metrics: UserMetrics) -> None:
    def work(number: int) -> None:
        for _ in range(200):
            post(user_metrics, f"own_{number}", gauge={"increment": True})
            post(user_metrics, "shared", counter={"increment": True})
            user_metrics.exposition()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert values(user_metrics) == {"shared": 800, **{f"own_{number}": 200 for number in range(4)}}
