"""The alerts of `config/prometheus`, asked of Prometheus' own engine: which situation makes which of them fire."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests import checkers
from tests.support.operator_process import REPOSITORY

Rule = dict[str, Any]

pytestmark = pytest.mark.timeout(checkers.BUILD_TIMEOUT)

FOO = 'controller="foo-v1-tutorial.my.domain-controller"'
WELL, MINUTES = 60, 120
"""How long all is well before something happens, and how long that has lasted when alerts are looked at."""

HEALTHY = {
    # Two replicas: `a` leads, and the queue of `b` fills up.
    'up{job="foo-operator", instance="a"}': "1",
    'up{job="foo-operator", instance="b"}': "1",
    'leader_election_master_status{job="foo-operator", instance="a", name="foo-operator"}': "1",
    'leader_election_master_status{job="foo-operator", instance="b", name="foo-operator"}': "0",
    f'controller_runtime_reconcile_total{{job="foo-operator", instance="a", {FOO}, result="success"}}': "0+60",
    f'controller_runtime_reconcile_total{{job="foo-operator", instance="a", {FOO}, result="error"}}': "0+1",
    f'controller_runtime_reconcile_errors_total{{job="foo-operator", instance="a", {FOO}}}': "0+1",
    f'controller_runtime_reconcile_panics_total{{job="foo-operator", instance="a", {FOO}}}': "0",
    f'workqueue_depth{{job="foo-operator", instance="a", {FOO}, priority="0"}}': "3",
    f'workqueue_depth{{job="foo-operator", instance="a", {FOO}, priority="-100"}}': "2000",
    f'workqueue_depth{{job="foo-operator", instance="b", {FOO}, priority="0"}}': "0+10",
    f'workqueue_work_duration_seconds_count{{job="foo-operator", instance="a", {FOO}}}': "0+61",
    f'workqueue_work_duration_seconds_count{{job="foo-operator", instance="b", {FOO}}}': "0",
    f'reconcile_runner_run_duration_seconds_count{{job="foo-operator", instance="a", {FOO}, status="timed_out"}}': "1",
    'rest_client_requests_total{job="foo-operator", instance="a", code="200", method="GET"}': "0+300",
    'rest_client_requests_total{job="foo-operator", instance="a", code="404", method="GET"}': "0+30",
    'rest_client_requests_total{job="foo-operator", instance="a", code="<error>", method="GET"}': "0+3",
    'rest_client_requests_total{job="foo-operator", instance="a", code="403", method="POST"}': "2",
    f'reconcile_runner_status_refused_total{{job="foo-operator", instance="a", {FOO}}}': "2",
    'process_start_time_seconds{job="foo-operator", instance="a"}': "5000",
    # Another operator's.
    'leader_election_master_status{job="other", instance="c", name="other"}': "0",
    'rest_client_requests_total{job="other", instance="c", code="403", method="GET"}': "0+10",
}
"""Series to what happens to each: its first value, and what is added to it each minute."""


def _series(part: str, values: str) -> dict[str, str]:
    """Return the healthy series with one that the part of its name and labels means changed."""
    [meant] = [name for name in HEALTHY if all(word in name for word in part.split())]
    return {meant: values}


NO_REPLICA = {name: "0" for name in HEALTHY if name.startswith("up")}
STUCK = {
    **_series('workqueue_work_duration_seconds_count ance="a"', "500"),
    **_series('controller_runtime_reconcile_total "success"', "500"),
    **_series('controller_runtime_reconcile_total "error"', "5"),
    **_series("controller_runtime_reconcile_errors_total", "5"),
}

SITUATIONS = {
    "ReconcileRunnerDown": NO_REPLICA,
    "ReconcileRunnerNoStandby": _series('up "b"', "0"),
    "ReconcileRunnerNoLeader": _series('leader_election_master_status instance="a"', "0"),
    "ReconcileRunnerTwoLeaders": {
        **_series('leader_election_master_status instance="b"', "1"),
        **_series('workqueue_depth instance="b"', "0"),
    },
    "ReconcileRunnerReconcileErrors": _series("controller_runtime_reconcile_errors_total", "0+20"),
    "ReconcileRunnerDefect": _series("controller_runtime_reconcile_panics_total", "0+1"),
    "ReconcileRunnerQueueStuck": STUCK,
    "ReconcileRunnerChangesWait": _series('workqueue_depth "a" "0"', "0+5"),
    "ReconcileRunnerRunTimedOut": _series("reconcile_runner_run_duration_seconds_count", "0+1"),
    "ReconcileRunnerApiErrors": _series("rest_client_requests_total <error>", "0+50"),
    "ReconcileRunnerForbidden": _series('rest_client_requests_total foo-operator "403"', "0+1"),
    "ReconcileRunnerStatusRefused": _series("reconcile_runner_status_refused_total", "0+1"),
    "ReconcileRunnerRestarts": _series("process_start_time_seconds", "0+300"),
}


def firing(changed: Mapping[str, str], minutes: int = MINUTES) -> list[str]:
    """Return the alerts that fire in the end, when series have been changed for this many minutes."""
    groups = yaml.safe_load((REPOSITORY / "config/prometheus/rules.yaml").read_text())["spec"]["groups"]
    # `x59` is 60 values.
    well = [f"{name} {values}x{WELL + minutes}" for name, values in HEALTHY.items() if name not in changed]
    series = [*well, *(f"{name} {HEALTHY[name]}x{WELL - 1} {values}x{minutes}" for name, values in changed.items())]
    answer = subprocess.run(
        [checkers.build(checkers.PROMCHECK), *series],
        input=yaml.safe_dump({"groups": groups}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.split()


def test_nothing_fires_while_all_is_well() -> None:
    assert firing({}) == []


@pytest.mark.parametrize(("alert", "changed"), SITUATIONS.items(), ids=SITUATIONS)
def test_each_situation_makes_its_alert_fire_and_no_other(alert: str, changed: Mapping[str, str]) -> None:
    assert firing(changed) == [alert]


def test_there_is_a_situation_for_every_alert() -> None:
    groups = yaml.safe_load((REPOSITORY / "config/prometheus/rules.yaml").read_text())["spec"]["groups"]
    assert sorted(rule["alert"] for group in groups for rule in group["rules"]) == sorted(SITUATIONS)


def test_a_single_operator_without_election_is_watched_as_well() -> None:
    gone = {name: "_" for name in HEALTHY if name.startswith("leader_election_master_status")}
    assert "ReconcileRunnerQueueStuck" in firing(STUCK | gone)


@pytest.mark.parametrize(
    ("alert", "minutes"),
    [
        ("ReconcileRunnerDown", 4),
        ("ReconcileRunnerNoLeader", 1),
        ("ReconcileRunnerTwoLeaders", 1),
        ("ReconcileRunnerNoStandby", 14),
    ],
)
def test_what_passes_by_itself_makes_no_alert_fire(alert: str, minutes: int) -> None:
    assert firing(SITUATIONS[alert], minutes) == []
