"""`config/prometheus`: kinds that may be absent from a cluster, and expressions over metrics that must exist."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconcile_devcluster import crds
from reconcile_devcluster.binaries.finder import find_kubectl
from reconcile_devcluster.cluster import Cluster
from reconcile_runner.metrics import Metrics
from tests import checkers
from tests.support.kustomized import NAMESPACE, Kubectl, objects_of, the
from tests.support.operator_process import REPOSITORY
from tools.dashboard import documents_url

KubeObject = dict[str, Any]
Rule = dict[str, Any]

OPERATING = (REPOSITORY / "docs" / "operating.md").read_text()
CRDS = "example/prometheus-operator-crd/monitoring.coreos.com_{}.yaml"
OTHERS = frozenset({"up", "ALERTS"})
"""Metrics that Prometheus makes itself."""

CONTAINERS = frozenset(
    {
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
        "kube_pod_container_resource_limits",
        "kube_pod_container_status_restarts_total",
        "kube_pod_status_ready",
    }
)
"""Metrics of the kubelet and of kube-state-metrics, which docs/install.md asks for."""

pytestmark = pytest.mark.timeout(checkers.BUILD_TIMEOUT)


@pytest.fixture(scope="module")
def kubectl(controllers_cluster: Cluster) -> Iterator[Kubectl]:
    """Return a kubectl for a cluster that has the Prometheus operator's kinds meanwhile."""
    directory = checkers.PROMETHEUS_OPERATOR.directory()
    kinds = ("servicemonitors", "prometheusrules")
    for kind in kinds:
        crds.install(controllers_cluster.api, directory / CRDS.format(kind))
    found = Kubectl(find_kubectl(), controllers_cluster.kubeconfig)
    found.must("create", "namespace", NAMESPACE)
    yield found
    found.must("delete", f"namespace/{NAMESPACE}", *(f"crd/{kind}.monitoring.coreos.com" for kind in kinds))


@pytest.fixture(scope="module")
def objects() -> list[KubeObject]:
    return objects_of(find_kubectl(), "prometheus")


@pytest.fixture(scope="module")
def dashboard(objects: list[KubeObject]) -> KubeObject:
    [text] = the(objects, "ConfigMap")["data"].values()
    found: KubeObject = json.loads(text)
    return found


def _rules() -> list[Rule]:
    groups = yaml.safe_load((REPOSITORY / "config/prometheus/rules.yaml").read_text())["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_prometheus_operators_kinds_accept_every_object(kubectl: Kubectl) -> None:
    said = kubectl.must("apply", "--dry-run=server", "--validate=strict", "-k", "config/prometheus")
    assert sorted(line.split("/")[0] for line in said.splitlines()) == [
        "configmap",
        "prometheusrule.monitoring.coreos.com",
        "servicemonitor.monitoring.coreos.com",
    ]


def test_a_field_that_does_not_exist_is_refused(kubectl: Kubectl, objects: list[KubeObject], tmp_path: Path) -> None:
    monitor = the(objects, "ServiceMonitor")
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(monitor | {"spec": monitor["spec"] | {"endpoint": []}}))
    answer = kubectl.run("apply", "--dry-run=server", "--validate=strict", "-f", str(tmp_path / "wrong.yaml"))
    assert 'unknown field "spec.endpoint"' in answer.stderr


def test_the_monitor_finds_the_metrics_service(objects: list[KubeObject]) -> None:
    service = the(objects_of(find_kubectl(), "default"), "Service")
    monitor = the(objects, "ServiceMonitor")
    assert monitor["metadata"]["namespace"] == service["metadata"]["namespace"] == NAMESPACE
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    [endpoint], [port] = monitor["spec"]["endpoints"], service["spec"]["ports"]
    assert (endpoint["port"], endpoint["scheme"]) == (port["name"], "https")
    # The job by which alerts and dashboard select.
    assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "foo-operator"


def test_alerts_are_what_prometheus_reads_and_ask_for_metrics_that_exist() -> None:
    asked = names_in([{"name": "alerts", "rules": _rules()}])
    assert asked
    assert asked - OTHERS <= metric_names()


def test_the_dashboard_asks_for_metrics_that_exist(dashboard: KubeObject) -> None:
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    # Grafana puts a duration in its place.
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, expression in enumerate(expressions)
    ]
    asked = names_in([{"name": "dashboard", "rules": rules}])
    assert len(asked) > 15
    assert asked - OTHERS - CONTAINERS <= metric_names()
    assert asked >= CONTAINERS
    install = (REPOSITORY / "docs" / "install.md").read_text()
    assert "kube-state-metrics" in install


def names_in(groups: list[KubeObject]) -> set[str]:
    """Return the metrics that rules ask for; fails with Prometheus' words where it cannot read them."""
    program = checkers.build(checkers.PROMCHECK)
    text = yaml.safe_dump({"groups": groups})
    answer = subprocess.run([program], input=text, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return set(answer.stdout.split())


def metric_names() -> set[str]:
    """Return the names that a scrape may show, and that docs/reference/metrics.md lists."""
    names = set(Metrics().series_names())
    documented = set(re.findall(r"^\| `(\w+)`", (REPOSITORY / "docs/reference/metrics.md").read_text(), re.MULTILINE))
    assert len(documented) > 20
    suffixes = r"_(bucket|sum|count)$"
    return {name for name in names if re.sub(suffixes, "", name) in documented or name.startswith("process_")}


def test_a_wrong_expression_is_found() -> None:
    with pytest.raises(AssertionError, match="parse error"):
        names_in([{"name": "wrong", "rules": [{"alert": "Wrong", "expr": "sum by (up"}]}])


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["alert"])
def test_every_alert_says_how_bad_it_is_and_has_a_runbook(rule: Rule) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"{documents_url()}/operating.md#{rule['alert'].lower()}"
    assert f"### {rule['alert']}\n" in OPERATING


def test_every_runbook_is_of_an_alert() -> None:
    assert set(re.findall(r"^### (ReconcileRunner\w+)$", OPERATING, re.MULTILINE)) == {
        rule["alert"] for rule in _rules()
    }


def test_panels_do_not_cover_each_other_and_are_numbered(dashboard: KubeObject) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
