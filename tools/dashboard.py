"""The dashboard of config/prometheus for Grafana, from a short list of its panels: `make manifests`.

Name, title and `job` are the operator's name (`operatorname`); the links to the runbooks come from the URL of the
documents in pyproject.toml.
"""

from __future__ import annotations

import enum
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools.environment import ROOT

DASHBOARD: Final = ROOT / "config" / "prometheus" / "dashboard.json"
_COLUMNS, _STAT_HEIGHT, _GRAPH_HEIGHT = 24, 4, 8
_DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}

_OURS: Final = 'job="$job", namespace=~"$namespace"'
_CONTROLLER: Final = f'{_OURS}, controller=~"$controller"'
_POD: Final = 'namespace=~"$namespace", pod=~"$job-.*"'
_CONTAINER: Final = f'{_POD}, container="manager"'
_RATE: Final = "[$__rate_interval]"


class Unit(enum.StrEnum):
    """Units as Grafana names them."""

    NUMBER = "short"
    PER_SECOND = "ops"
    REQUESTS_PER_SECOND = "reqps"
    SHARE = "percentunit"
    SECONDS = "s"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Panel:
    """A title, a sentence, and what is shown: expressions by the legend of their series.

    A panel is a graph, or with ``alarm`` a number that turns red from there (``alarm`` 0: at 0, which is too few).
    """

    title: str
    description: str
    unit: Unit
    series: dict[str, str]
    alarm: float | None = None
    stacked: bool = False


def _quantile(share: float, metric: str) -> str:
    return f"histogram_quantile({share}, sum by (le, controller) (rate({metric}_bucket{{{_CONTROLLER}}}{_RATE})))"


def _durations(metric: str) -> dict[str, str]:
    return {"{{controller}} 50 %": _quantile(0.5, metric), "{{controller}} 99 %": _quantile(0.99, metric)}


def _rate(labels: str, metric: str) -> str:
    """Return a rate summed by labels, for a metric that has the label `controller`."""
    return f"sum by ({labels}) (rate({metric}{{{_CONTROLLER}}}{_RATE}))"


_WORKING_SET: Final = f"container_memory_working_set_bytes{{{_CONTAINER}}}"
_LIMIT: Final = f'kube_pod_container_resource_limits{{{_CONTAINER}, resource="memory"}}'

ROWS: Final[dict[str, Sequence[Panel]]] = {
    "Does it work?": (
        Panel("Replicas that answer", "Scrapes that succeed", Unit.NUMBER, {"": f"sum(up{{{_OURS}}})"}, 0),
        Panel(
            "Leaders",
            "Replicas that hold the Lease: 1, but for seconds while the leader changes",
            Unit.NUMBER,
            {"": f"sum(leader_election_master_status{{{_OURS}}})"},
            0,
        ),
        Panel(
            "Alerts that fire",
            "Of this operator; each has a runbook, see the link above",
            Unit.NUMBER,
            {"": 'count(ALERTS{alertstate="firing", operator="$job"}) or vector(0)'},
            1,
        ),
        Panel(
            "Reconciles that failed",
            "Share of all, over 15 minutes",
            Unit.SHARE,
            {
                "": f"sum(rate(controller_runtime_reconcile_errors_total{{{_OURS}}}[15m]))"
                f" / sum(rate(controller_runtime_reconcile_total{{{_OURS}}}[15m]))"
            },
            0.1,
        ),
        Panel(
            "Changes that wait",
            "Changed objects without a worker, at the leader",
            Unit.NUMBER,
            {
                "": f'sum(workqueue_depth{{{_OURS}, priority="0"}}'
                " unless on (instance) leader_election_master_status == 0)"
            },
            100,
        ),
        Panel(
            "Memory of its limit",
            "The fullest container, runs and files in memory included; at 100 % it is killed",
            Unit.SHARE,
            {"": f"max({_WORKING_SET} / on (namespace, pod, container) {_LIMIT})"},
            0.9,
        ),
    ),
    "Reconciles and runs": (
        Panel(
            "Reconciles",
            "All reconciles, by how they ended",
            Unit.PER_SECOND,
            {"{{controller}} {{result}}": _rate("controller, result", "controller_runtime_reconcile_total")},
        ),
        Panel(
            "Share of reconciles that failed",
            "Errors of all reconciles",
            Unit.SHARE,
            {
                "{{controller}}": f"{_rate('controller', 'controller_runtime_reconcile_errors_total')}"
                f" / {_rate('controller', 'controller_runtime_reconcile_total')}"
            },
        ),
        Panel(
            "How long reconciles take",
            "Half and 99 % of the reconciles took no longer",
            Unit.SECONDS,
            _durations("controller_runtime_reconcile_time_seconds"),
        ),
        Panel(
            "Runs",
            "Runs of a role or playbook, by how they ended",
            Unit.PER_SECOND,
            {"{{controller}} {{status}}": _rate("controller, status", "reconcile_runner_run_duration_seconds_count")},
        ),
        Panel(
            "How long runs take",
            "Half and 99 % of the runs took no longer",
            Unit.SECONDS,
            _durations("reconcile_runner_run_duration_seconds"),
        ),
        Panel(
            "Where the time of a run goes",
            "Mean seconds of each phase; docs/reference/metrics.md says what each is",
            Unit.SECONDS,
            {
                "{{phase}}": f"{_rate('phase', 'reconcile_runner_phase_seconds_sum')}"
                f" / {_rate('phase', 'reconcile_runner_phase_seconds_count')}"
            },
            stacked=True,
        ),
    ),
    "Queue and workers": (
        Panel(
            "Requests that wait",
            "0: changes; -100: first list and periodic reconciles",
            Unit.NUMBER,
            {
                "{{controller}} {{priority}} {{pod}}": "sum by (controller, priority, pod) "
                f"(workqueue_depth{{{_CONTROLLER}}})"
            },
        ),
        Panel(
            "How long requests wait",
            "99 % of the requests waited no longer",
            Unit.SECONDS,
            {"{{controller}}": _quantile(0.99, "workqueue_queue_duration_seconds")},
        ),
        Panel(
            "Retries",
            "Requests put back after a failure",
            Unit.PER_SECOND,
            {"{{controller}}": _rate("controller", "workqueue_retries_total")},
        ),
        Panel(
            "Workers",
            "Busy ones, and how many there are",
            Unit.NUMBER,
            {
                "{{controller}} {{pod}} busy": "sum by (controller, pod) "
                f"(controller_runtime_active_workers{{{_CONTROLLER}}})",
                "{{controller}} most": "max by (controller) "
                f"(controller_runtime_max_concurrent_reconciles{{{_CONTROLLER}}})",
            },
        ),
        Panel(
            "The oldest reconcile that still runs",
            "Its age",
            Unit.SECONDS,
            {"{{controller}}": f"max by (controller) (workqueue_longest_running_processor_seconds{{{_CONTROLLER}}})"},
        ),
        Panel(
            "Objects",
            "Objects of the watched kinds",
            Unit.NUMBER,
            {
                "{{kind}}.{{group}}": "max by (group, kind) "
                f"(count by (pod, group, kind) (resource_created_at_seconds{{{_OURS}}}))"
            },
        ),
    ),
    "Triggers, dependents and the API server": (
        Panel(
            "Triggers",
            "Events of triggers' kinds, and the reconciles that they asked for",
            Unit.PER_SECOND,
            {
                "{{trigger}} events": _rate("controller, trigger", "reconcile_runner_trigger_events_total"),
                "{{trigger}} requests": _rate("controller, trigger", "reconcile_runner_triggered_requests_total"),
            },
        ),
        Panel(
            "Dependents",
            "Events of objects that runs made, which reconcile their owner",
            Unit.PER_SECOND,
            {"{{dependent}}": _rate("controller, dependent", "reconcile_runner_dependent_events_total")},
        ),
        Panel(
            "Statuses refused",
            "Status writes that the API server does not take: the conditions of their objects are old",
            Unit.PER_SECOND,
            {"{{controller}}": _rate("controller", "reconcile_runner_status_refused_total")},
        ),
        Panel(
            "Requests of runs",
            "Answered from the cache, by the API server, or refused",
            Unit.REQUESTS_PER_SECOND,
            {"{{answer}}": f"sum by (answer) (rate(reconcile_runner_proxy_requests_total{{{_OURS}}}{_RATE}))"},
        ),
        Panel(
            "Requests to the API server",
            "By HTTP status, those of runs included",
            Unit.REQUESTS_PER_SECOND,
            {"{{code}}": f"sum by (code) (rate(rest_client_requests_total{{{_OURS}}}{_RATE}))"},
        ),
    ),
    "Pods": (
        Panel(
            "Memory of the container",
            "Runs and files in memory included, against the limit at which it is killed",
            Unit.BYTES,
            {"{{pod}}": _WORKING_SET, "{{pod}} limit": _LIMIT},
        ),
        Panel(
            "Memory of the operator's process",
            "Without that of runs",
            Unit.BYTES,
            {"{{pod}}": f"process_resident_memory_bytes{{{_OURS}}}"},
        ),
        Panel(
            "CPU of the container",
            "Cores, runs included",
            Unit.NUMBER,
            {
                "{{pod}}": f"rate(container_cpu_usage_seconds_total{{{_CONTAINER}}}{_RATE})",
                "{{pod}} operator's process": f"rate(process_cpu_seconds_total{{{_OURS}}}{_RATE})",
            },
        ),
        Panel(
            "Ready",
            "1: the Pod is ready",
            Unit.NUMBER,
            {"{{pod}}": f'kube_pod_status_ready{{{_POD}, condition="true"}}'},
        ),
        Panel(
            "Restarts",
            "Of the container, in the last hour",
            Unit.NUMBER,
            {"{{pod}}": f"increase(kube_pod_container_status_restarts_total{{{_CONTAINER}}}[1h])"},
        ),
        Panel(
            "Leader",
            "The replica that holds the Lease: 1",
            Unit.NUMBER,
            {"{{pod}}": f"leader_election_master_status{{{_OURS}}}"},
        ),
        Panel(
            "Versions",
            "Replicas of each version",
            Unit.NUMBER,
            {"{{version}} {{commit}}": f"count by (version, commit) (ansible_operator_build_info{{{_OURS}}})"},
        ),
    ),
}


def documents_url(root: Path = ROOT) -> str:
    """Return the URL of docs/, below which are the runbooks."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["urls"]["Documentation"]).replace("/tree/", "/blob/")


def render(name: str, documents: str) -> str:
    """Return the dashboard of an operator as Grafana's JSON."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        panels.append({"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": _place(0, y, 24, 1)})
        y += 1
        height = _STAT_HEIGHT if row[0].alarm is not None else _GRAPH_HEIGHT
        wide = _COLUMNS // (len(row) if row[0].alarm is not None else 3)
        for index, panel in enumerate(row):
            line, column = divmod(index * wide, _COLUMNS)
            panels.append(_panel(panel) | {"gridPos": _place(column, y + line * height, wide, height)})
        y += height * -(-len(row) * wide // _COLUMNS)
    numbered = [{"id": number, **panel} for number, panel in enumerate(panels, 1)]
    return json.dumps(_head(name, documents) | {"panels": numbered}, indent=1, ensure_ascii=False) + "\n"


def _head(name: str, documents: str) -> dict[str, Any]:
    runbooks = {"title": "Runbooks", "url": f"{documents}/operating.md#alerts"}
    meanings = {"title": "Metrics", "url": f"{documents}/reference/metrics.md"}
    return {
        "uid": name,
        "title": name.replace("-", " ").capitalize(),
        "description": "What the metrics of docs/reference/metrics.md say",
        "tags": ["operator", "ansible"],
        "editable": True,
        "schemaVersion": 39,
        "version": 1,
        "refresh": "30s",
        "timezone": "browser",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables(name)},
        "annotations": {"list": []},
        "links": [{"type": "link", "targetBlank": True, "icon": "doc", **link} for link in (runbooks, meanings)],
    }


def _variables(name: str) -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        _constant("job", name),
        _choice("namespace", "Namespace", 'label_values(ansible_operator_build_info{job="$job"}, namespace)'),
        _choice(
            "controller",
            "Controller",
            f"label_values(controller_runtime_max_concurrent_reconciles{{{_OURS}}}, controller)",
        ),
    ]


def _constant(name: str, value: str) -> dict[str, Any]:
    return {"name": name, "type": "constant", "query": value, "hide": 2, "current": {"text": value, "value": value}}


def _choice(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": _DATASOURCE,
        "query": query,
        "definition": query,
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + index), "expr": expression, "legendFormat": legend, "datasource": _DATASOURCE}
        for index, (legend, expression) in enumerate(panel.series.items())
    ]
    common = {"title": panel.title, "description": panel.description, "datasource": _DATASOURCE, "targets": targets}
    return common | (_graph(panel) if panel.alarm is None else _stat(panel, panel.alarm))


def _graph(panel: Panel) -> dict[str, Any]:
    custom: dict[str, Any] = {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never"}
    if panel.stacked:
        custom |= {"fillOpacity": 40, "stacking": {"mode": "normal", "group": "A"}}
    return {
        "type": "timeseries",
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def _stat(panel: Panel, alarm: float) -> dict[str, Any]:
    """Show a number that is red from the alarm on; an alarm of 0 is for what must be there."""
    below, above, limit = ("green", "red", alarm) if alarm else ("red", "green", 1)
    steps = [{"color": below, "value": None}, {"color": above, "value": limit}]
    thresholds = {"mode": "absolute", "steps": steps}
    return {
        "type": "stat",
        "fieldConfig": {"defaults": {"unit": panel.unit, "thresholds": thresholds}, "overrides": []},
        "options": {"colorMode": "background", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"]}},
    }
