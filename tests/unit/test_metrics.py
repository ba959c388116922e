from __future__ import annotations

import re

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from reconcile_runner import metrics as metrics_module
from reconcile_runner.apimachinery.objects import GroupVersionKind, ObjectKey
from reconcile_runner.bounds import Bound
from reconcile_runner.controller.workqueue import Priority
from reconcile_runner.execution.job import RunStatus
from reconcile_runner.metrics import (
    DEFINITIONS,
    Definition,
    Metrics,
    Phase,
    ProxyAnswer,
    ReconcileResult,
    RequestScope,
    UsedRight,
)
from tests.support.paths import REPOSITORY

DOCS = REPOSITORY / "docs" / "reference" / "metrics.md"
FOO = GroupVersionKind("tutorial.my.domain", "v1", "Foo")
POD = GroupVersionKind("", "v1", "Pod")
NAME = "foo-v1-tutorial.my.domain-controller"

UPSTREAM = {
    "ansible_operator_build_info": {"commit", "version"},
    "ansible_operator_reconcile_result": {"GVK", "result"},
    "ansible_operator_reconciles": {"GVK"},
    "resource_created_at_seconds": {"name", "namespace", "group", "version", "kind"},
    "controller_runtime_reconcile_total": {"controller", "result"},
    "controller_runtime_reconcile_errors_total": {"controller"},
    "controller_runtime_terminal_reconcile_errors_total": {"controller"},
    "controller_runtime_reconcile_panics_total": {"controller"},
    "controller_runtime_reconcile_time_seconds": {"controller"},
    "controller_runtime_max_concurrent_reconciles": {"controller"},
    "controller_runtime_active_workers": {"controller"},
    "workqueue_depth": {"name", "controller", "priority"},
    "workqueue_adds_total": {"name", "controller"},
    "workqueue_queue_duration_seconds": {"name", "controller"},
    "workqueue_work_duration_seconds": {"name", "controller"},
    "workqueue_unfinished_work_seconds": {"name", "controller"},
    "workqueue_longest_running_processor_seconds": {"name", "controller"},
    "workqueue_retries_total": {"name", "controller"},
    "rest_client_requests_total": {"code", "method", "host"},
    "leader_election_master_status": {"name"},
}


@pytest.fixture
def metrics() -> Metrics:
    """Metrics in which everything has happened once."""
    metrics = Metrics(version="1.2.3", commit="abc")
    queue = metrics.for_queue(NAME, Priority, lambda: 3.0, lambda: 2.0)
    queue.added()
    queue.waiting(Priority.BACKGROUND, 7)
    queue.taken(0.5)
    queue.done(1.5)
    queue.retried()
    controller = metrics.for_controller(NAME, FOO, workers=4)
    controller.started()
    controller.finished(ReconcileResult.ERROR, 2.0)
    controller.tried(2.0, succeeded=False)
    controller.panicked()
    metrics.run_finished(NAME, RunStatus.TIMED_OUT, 12.0)
    metrics.phase_finished(NAME, Phase.MODULES, 0.25)
    metrics.trigger_fired(NAME, POD, 5)
    metrics.dependent_changed(NAME, POD)
    metrics.status_refused(NAME)
    metrics.show_silent_runs(NAME, lambda: 2)
    metrics.answer_unreadable(POD)
    metrics.bound_reached(Bound.VERBOSITY)
    metrics.proxied(ProxyAnswer.CACHE)
    metrics.right_used(UsedRight("apps", "deployments/scale", "patch", RequestScope.OWN))
    metrics.resource_exists(FOO, ObjectKey("default", "foo-01"), 1767225600.0)
    metrics.request_finished("GET", "127.0.0.1:6443", "200")
    metrics.show_leadership("my-operator", lambda: True)
    return metrics


def exposed(metrics: Metrics) -> dict[str, set[str]]:
    """Return each exposed metric's labels by its name as dashboards spell it."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            name = re.sub(r"_(bucket|sum|count)$", "", sample.name) if family.type == "histogram" else sample.name
            found.setdefault(name, set()).update(set(sample.labels) - {"le"})
    return found


def test_exposes_upstreams_names_and_labels(metrics: Metrics) -> None:
    found = exposed(metrics)
    assert {name: found.get(name) for name in UPSTREAM} == UPSTREAM


def test_exposes_what_the_table_defines_and_the_process_and_nothing_else(metrics: Metrics) -> None:
    found = {name: labels for name, labels in exposed(metrics).items() if not name.startswith("process_")}
    assert found == {definition.name: set(definition.labels) for definition in DEFINITIONS}


def test_shows_cpu_and_memory_of_the_process(metrics: Metrics) -> None:
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes"} <= set(exposed(metrics))


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.name)
def test_is_documented_with_its_labels(definition: Definition) -> None:
    (row,) = [line for line in DOCS.read_text().splitlines() if line.startswith(f"| `{definition.name}` |")]
    labels = row.split("|")[3]
    assert re.findall(r"`(\w+)`", labels) == list(definition.labels)


def test_nothing_goes_to_the_global_registry(metrics: Metrics) -> None:
    assert b"ansible_operator" not in prometheus_client.generate_latest()
    assert Metrics().exposition() != metrics.exposition()


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("ansible_operator_build_info", {"version": "1.2.3", "commit": "abc"}, 1),
        ("ansible_operator_reconcile_result", {"GVK": str(FOO), "result": "failed"}, 1),
        ("ansible_operator_reconcile_result", {"GVK": str(FOO), "result": "succeeded"}, 0),
        ("ansible_operator_reconciles_sum", {"GVK": str(FOO)}, 2),
        ("controller_runtime_reconcile_total", {"controller": NAME, "result": "error"}, 1),
        ("controller_runtime_reconcile_total", {"controller": NAME, "result": "success"}, 0),
        ("controller_runtime_reconcile_errors_total", {"controller": NAME}, 1),
        ("controller_runtime_terminal_reconcile_errors_total", {"controller": NAME}, 0),
        ("controller_runtime_reconcile_panics_total", {"controller": NAME}, 1),
        ("controller_runtime_max_concurrent_reconciles", {"controller": NAME}, 4),
        ("controller_runtime_active_workers", {"controller": NAME}, 1),
        ("workqueue_depth", {"name": NAME, "controller": NAME, "priority": "-100"}, 7),
        ("workqueue_depth", {"name": NAME, "controller": NAME, "priority": "0"}, 0),
        ("workqueue_unfinished_work_seconds", {"name": NAME, "controller": NAME}, 3),
        ("workqueue_longest_running_processor_seconds", {"name": NAME, "controller": NAME}, 2),
        ("reconcile_runner_phase_seconds_sum", {"controller": NAME, "phase": "modules"}, 0.25),
        ("reconcile_runner_phase_seconds_sum", {"controller": NAME, "phase": "queue"}, 0.5),
        ("reconcile_runner_run_duration_seconds_sum", {"controller": NAME, "status": "timed_out"}, 12),
        ("reconcile_runner_trigger_events_total", {"controller": NAME, "trigger": str(POD)}, 1),
        ("reconcile_runner_triggered_requests_total", {"controller": NAME, "trigger": str(POD)}, 5),
        ("reconcile_runner_dependent_events_total", {"controller": NAME, "dependent": str(POD)}, 1),
        ("reconcile_runner_unreadable_answers_total", {"gvk": str(POD)}, 1),
        ("reconcile_runner_bound", {"bound": "verbosity"}, 4),
        ("reconcile_runner_bound_reached_total", {"bound": "verbosity"}, 1),
        ("reconcile_runner_proxy_requests_total", {"answer": "cache"}, 1),
        ("leader_election_master_status", {"name": "my-operator"}, 1),
        ("rest_client_requests_total", {"code": "200", "method": "GET", "host": "127.0.0.1:6443"}, 1),
    ],
)
def test_has_the_value_that_was_told(metrics: Metrics, name: str, labels: dict[str, str], value: float) -> None:
    assert metrics.registry.get_sample_value(name, labels) == value


def test_a_fresh_controllers_counters_are_there_with_zero() -> None:
    metrics = Metrics()
    metrics.for_controller(NAME, FOO, workers=1)
    for result in ReconcileResult:
        labels = {"controller": NAME, "result": result.value}
        assert metrics.registry.get_sample_value("controller_runtime_reconcile_total", labels) == 0


@pytest.mark.parametrize("name", ["foo-01", 'quo"ted', "back\\slash"])
def test_shows_when_an_object_was_created(name: str) -> None:
    metrics = Metrics()
    metrics.resource_exists(FOO, ObjectKey("default", name), 1767225600.0)
    families = {family.name: family for family in text_string_to_metric_families(metrics.exposition().decode())}
    family = families["resource_created_at_seconds"]
    assert (family.type, family.documentation) == ("gauge", "Timestamp at which a resource was created")
    (sample,) = family.samples
    group, version, kind = FOO.group, FOO.version, FOO.kind
    assert sample.labels == {"name": name, "namespace": "default", "group": group, "version": version, "kind": kind}
    assert sample.value == 1767225600


def test_an_objects_series_goes_with_the_object(metrics: Metrics) -> None:
    assert b'name="foo-01"' in metrics.exposition()
    metrics.resource_gone(FOO, ObjectKey("default", "foo-01"))
    metrics.resource_gone(FOO, ObjectKey("default", "never-seen"))
    assert b'name="foo-01"' not in metrics.exposition()


def test_buckets_are_those_of_controller_runtime_and_client_go() -> None:
    assert metrics_module.RECONCILE_TIME.buckets[0] == 0.005
    assert metrics_module.RECONCILE_TIME.buckets[-1] == 60
    assert len(metrics_module.RECONCILE_TIME.buckets) == 40
    assert metrics_module.QUEUE_DURATION.buckets[0] == pytest.approx(1e-8)
    assert metrics_module.QUEUE_DURATION.buckets[-1] == 1000
    assert len(metrics_module.QUEUE_DURATION.buckets) == 12


def test_has_the_content_type_of_the_text_format(metrics: Metrics) -> None:
    assert metrics.content_type.startswith("text/plain; version=0.0.4")
