"""What the documentation of upstream's four modules shows, and what upstream's own tests ask of them, done with ours.

A test for each block of examples of `operator_sdk.util` 0.5.0, with inputs of our own that do what it shows. Options
are upstream's. What a role then finds is read from the API server, or from what the operator shows as metrics.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from reconcile_devcluster import crds
from reconcile_devcluster.cluster import Cluster
from reconcile_runner.apimachinery.duration import parse_duration
from reconcile_runner.metrics import Metrics
from reconcile_runner.server.usermetrics import UserMetrics
from tests.support.ansible_support import KubeObject, clean_environment, run_module
from tests.support.operator_process import Kube
from tools.testing.definitions import custom_resource_definition

GROUP, NAMESPACE = "upstream.test", "upstream-examples"
SHUT = {"type": "Reachable", "status": "False", "reason": "NoAnswer", "message": "Nobody answers"}
OPEN = {"type": "Reachable", "status": "True", "reason": "Answered", "message": "Somebody answers"}
BACKED_UP = {"type": "BackedUp", "status": "True", "reason": "Nightly"}

_numbers = itertools.count(1)


class Sample:
    """A fresh object with a status that takes anything, and the module that writes it."""

    def __init__(self, kube: Kube, environment: dict[str, str]) -> None:
        self.kube = kube
        self.environment = environment
        self.name = f"sample-{next(_numbers)}"
        self.path = f"/apis/{GROUP}/v1/namespaces/{NAMESPACE}/samples"
        body = {"apiVersion": f"{GROUP}/v1", "kind": "Sample", "metadata": {"name": self.name}, "spec": {"size": 2}}
        kube.api.call("POST", self.path, body)

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.kube.api.call("GET", f"{self.path}/{self.name}").get("status", {})
        return status

    def condition(self, wanted: str) -> KubeObject:
        """Return the only condition of a type, without the time that the module adds."""
        [found] = [each for each in self.status["conditions"] if each["type"] == wanted]
        return {name: value for name, value in found.items() if name != "lastTransitionTime"}

    def run(self, **options: object) -> KubeObject:
        mine = {"api_version": f"{GROUP}/v1", "kind": "Sample", "name": self.name, "namespace": NAMESPACE}
        return run_module("k8s_status", {**mine, **options}, self.environment)

    def set(self, **options: object) -> KubeObject:
        result = self.run(**options)
        assert "failed" not in result, result
        return result


@pytest.fixture(scope="module")
def kube(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Kube:
    directory = tmp_path_factory.mktemp("crds")
    (directory / "sample.yaml").write_text(yaml.safe_dump(custom_resource_definition(GROUP, "Sample")))
    crds.install(cluster.api, directory)
    made = Kube(cluster.api)
    made.create_namespace(NAMESPACE)
    return made


@pytest.fixture
def environment(cluster: Cluster, tmp_path: Path) -> dict[str, str]:
    return clean_environment(tmp_path, K8S_AUTH_KUBECONFIG=str(cluster.kubeconfig))


@pytest.fixture
def sample(kube: Kube, environment: dict[str, str]) -> Sample:
    return Sample(kube, environment)


def test_example_of_fields_of_a_status(sample: Sample) -> None:
    assert sample.set(status={"greeting": "hi", "further": "words"})["changed"] is True
    assert sample.status == {"greeting": "hi", "further": "words"}
    assert sample.set(status={"greeting": "hi"})["changed"] is False


@pytest.mark.parametrize(
    "time",
    [
        pytest.param("2026-03-04T05:06:07Z", id="of Ansible's facts"),
        pytest.param("2026-03-04 05:06:07+00:00", id="of date --rfc-3339"),
    ],
)
def test_example_of_the_operators_own_condition(sample: Sample, time: str) -> None:
    moving = {"type": "Running", "status": "True", "reason": "MoveBegun", "message": "Moving from 2 to 3"}
    sample.set(conditions=[{**moving, "lastTransitionTime": time}])
    assert sample.condition("Running") == moving
    [written] = sample.status["conditions"]
    assert written["lastTransitionTime"].startswith("2026-03-04T05:06:07")


def test_example_of_a_condition_of_the_roles_own_beside_others(sample: Sample) -> None:
    sample.set(conditions=[BACKED_UP])
    sample.set(conditions=[SHUT])
    assert (sample.condition("Reachable"), sample.condition("BackedUp")) == (SHUT, BACKED_UP)


def test_example_that_names_no_object_is_refused_by_ours_as_by_upstreams(environment: dict[str, str]) -> None:
    """Upstream's page leaves the object out, but its module does not know which one is meant either."""
    result = run_module("k8s_status", {"conditions": [SHUT]}, environment)
    assert result["failed"] is True
    assert "missing required arguments: kind, name" in result["msg"]


def test_upstreams_tests_conditions_inside_the_status_are_merged_by_type(sample: Sample) -> None:
    sample.set(status={"greeting": "hi", "conditions": [SHUT]})
    assert (sample.status["greeting"], sample.condition("Reachable")) == ("hi", SHUT)
    sample.set(status={"greeting": "hi all", "conditions": [OPEN, BACKED_UP]})
    assert (sample.status["greeting"], len(sample.status["conditions"])) == ("hi all", 2)
    assert (sample.condition("Reachable"), sample.condition("BackedUp")) == (OPEN, BACKED_UP)


@pytest.mark.parametrize("option", ["replace", "force"])
def test_upstreams_tests_a_replaced_status_has_nothing_of_the_old_one(sample: Sample, option: str) -> None:
    sample.set(status={"greeting": "hi", "conditions": [OPEN, BACKED_UP]})
    sample.set(**{option: True, "status": {"conditions": [SHUT]}})
    assert sorted(sample.status) == ["conditions"]
    assert sample.condition("Reachable") == SHUT
    sample.set(**{option: True, "status": {"greeting": "hi"}, "conditions": [OPEN]})
    assert (sample.status["greeting"], len(sample.status["conditions"])) == ("hi", 1)
    assert sample.condition("Reachable") == OPEN


def test_upstreams_tests_an_object_that_is_not_there_is_a_404(sample: Sample) -> None:
    result = sample.run(name="nobody", status={"greeting": "hi"})
    assert result["failed"] is True
    assert (result["error"]["status"], result["error"]["reason"]) == (404, "Not Found")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"kind": "Smaple", "status": {"a": 1}}, "the cluster has no such kind", id="kind"),
        pytest.param({"status": {"conditions": [OPEN]}, "conditions": [SHUT]}, "given in the option status", id="both"),
    ],
)
def test_upstreams_tests_what_cannot_be_done_is_a_message(sample: Sample, options: KubeObject, said: str) -> None:
    result = sample.run(**options)
    assert result["failed"] is True
    assert said in result["msg"]
    assert sample.status == {}


@pytest.mark.parametrize(
    ("field", "value"), [("reason", "Nobody has answered"), ("lastTransitionTime", "04/03/2026 5:06AM")]
)
def test_upstreams_tests_a_wrong_condition_has_its_error_in_words(sample: Sample, field: str, value: str) -> None:
    result = sample.run(conditions=[SHUT | {field: value}])
    assert result["failed"] is True
    assert field in result["error"]
    assert isinstance(result["error"], str)
    assert sample.status == {}


EVENT: KubeObject = {
    "state": "present",
    "name": "looked-at",
    "namespace": NAMESPACE,
    "message": "Somebody looked",
    "reason": "Looking around",
    "reportingComponent": "The one who looks",
    "appendTimestamp": True,
    "type": "Normal",
    "source": {"component": "looker"},
    "involvedObject": {"apiVersion": "v1", "kind": "Service", "name": "none-yet", "namespace": NAMESPACE},
}


def event_named(kube: Kube, name: str) -> KubeObject:
    return kube.api.call("GET", f"/api/v1/namespaces/{NAMESPACE}/events/{name}")


@pytest.mark.parametrize("merge_type", ["strategic-merge", ["strategic-merge"]], ids=["a word", "a list"])
def test_example_of_an_event(kube: Kube, environment: dict[str, str], merge_type: object) -> None:
    result = run_module("k8s_event", {**EVENT, "merge_type": merge_type}, environment)
    assert result["changed"] is True
    name = result["result"]["metadata"]["name"]
    assert name.startswith(f"{EVENT['name']}.")
    event = event_named(kube, name)
    same = ("message", "reason", "reportingComponent", "type", "source", "involvedObject")
    assert {field: event[field] for field in same} == {field: EVENT[field] for field in same}


def test_example_of_an_event_as_the_page_spells_its_option_is_refused_as_upstreams_module_does(
    environment: dict[str, str],
) -> None:
    result = run_module("k8s_event", {**EVENT, "merge-type": "strategic-merge"}, environment)
    assert result["failed"] is True
    assert "merge-type" in result["msg"]
    assert "merge_type" in result["msg"]


def test_upstreams_tests_an_event_of_an_object_of_an_unknown_kind(kube: Kube, environment: dict[str, str]) -> None:
    involved = {"apiVersion": f"{GROUP}/v1", "kind": "Nothing", "name": "no-one", "namespace": NAMESPACE}
    options = {"namespace": NAMESPACE, "name": "heard", "message": "Somebody called", "reason": "a-call"}
    assert run_module("k8s_event", {**options, "involvedObject": involved}, environment)["changed"] is True
    event = event_named(kube, "heard")
    assert (event["message"], event["reason"]) == ("Somebody called", "a-call")
    assert event["involvedObject"]["name"] == "no-one"


@contextmanager
def metrics_server(metrics: UserMetrics) -> Iterator[str]:
    """Serve roles' metrics until the block ends; yield the address for tasks."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            metrics.apply(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name in http.server
            """Stay silent."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, name="metrics of roles")
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        pytest.param([{"counter": {}}], "m 0.0", id="a counter by its name"),
        pytest.param([{"counter": {}}, {"counter": {"increment": True}}], "m 1.0", id="a counter that is there"),
        pytest.param([{"counter": {"add": 2.71}}], "m 2.71", id="added to a counter, as older pages show"),
        pytest.param([{"gauge": {"set": 3}}], "m 3.0", id="a gauge that is set"),
        pytest.param([{"histogram": {"observe": 3}}], 'm_bucket{le="5.0"} 1.0', id="observed by a histogram"),
        pytest.param([{"summary": {"observe": 3}}], "m_sum 3.0", id="observed by a summary"),
    ],
)
def test_example_of_a_metric(environment: dict[str, str], changes: list[KubeObject], shown: str) -> None:
    metrics = UserMetrics(Metrics())
    with metrics_server(metrics) as address:
        for change in changes:
            options = {"name": "m", "description": "What is counted here", **change}
            result = run_module("osdk_metric", options, {**environment, "RECONCILE_RUNNER_METRICS_URL": address})
            assert result["changed"] is True, json.dumps(result)
    assert shown in metrics.exposition().decode().splitlines()


@pytest.mark.parametrize(("time", "seconds"), [("24h", 86400), ("30m", 1800), ("5s", 5)])
def test_example_of_another_run_after_a_time(environment: dict[str, str], time: str, seconds: int) -> None:
    result = run_module("requeue_after", {"time": time}, environment)
    assert (result["period"], result["changed"]) == (time, False)
    assert parse_duration(result["period"]) == seconds
