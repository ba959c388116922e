"""The modules in a role that was written for upstream's operator, run by this one, with both engines."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from reconcile_devcluster.cluster import Cluster
from tests.support.ansible_support import KubeObject, clean_environment, run_module
from tests.support.operator_process import REPOSITORY, Kube, OperatorProcess, eventually, operator, write_foo_watches

pytestmark = pytest.mark.timeout(300)

TASKS = """
- name: Set the status
  operator_sdk.util.k8s_status:
    api_version: tutorial.my.domain/v1
    kind: Foo
    name: "{{ ansible_operator_meta.name }}"
    namespace: "{{ ansible_operator_meta.namespace }}"
    status:
      happy: true
  register: status

- name: Tell people
  operator_sdk.util.k8s_event:
    state: present
    name: "{{ ansible_operator_meta.name }}.looked"
    namespace: "{{ ansible_operator_meta.namespace }}"
    message: Somebody looked
    reason: Looked
    involvedObject:
      apiVersion: tutorial.my.domain/v1
      kind: Foo
      name: "{{ ansible_operator_meta.name }}"
      namespace: "{{ ansible_operator_meta.namespace }}"

- name: Count
  operator_sdk.util.osdk_metric:
    name: "{{ ansible_operator_meta.namespace | replace('-', '_') }}_runs"
    description: Runs of this role
    counter:
      increment: true

- name: Look again soon
  operator_sdk.util.requeue_after:
    time: 1s

- name: Say that the run goes on
  ansible.builtin.debug:
    msg: "the end of the run, {{ status.by | default('here') }}"
"""

_numbers = itertools.count(1)


@pytest.fixture
def kube(foo_cluster: Cluster) -> Kube:
    return Kube(foo_cluster.api)


@pytest.fixture
def namespace(kube: Kube) -> str:
    name = f"modules-{next(_numbers)}"
    kube.create_namespace(name)
    return name


@pytest.fixture
def watches(tmp_path: Path) -> Path:
    return write_foo_watches(tmp_path, TASKS)


def runs_shown(running: OperatorProcess, namespace: str) -> float:
    """Return what /metrics says of the role's counter."""
    name = f"{namespace.replace('-', '_')}_runs"
    found = [line for line in running.metrics().splitlines() if line.startswith(f"{name} ")]
    return float(found[0].split()[1]) if found else 0


@pytest.mark.parametrize("engine", ["forkserver", "subprocess"])
def test_a_role_of_upstreams_runs_with_the_modules_that_come_with_the_operator(
    foo_cluster: Cluster, kube: Kube, namespace: str, watches: Path, engine: str
) -> None:
    env = {"WATCH_NAMESPACE": namespace, "ANSIBLE_GATHERING": "explicit"}
    kube.create_foo(namespace, "foo", "jack")
    with operator(foo_cluster.kubeconfig, watches, flags=("--engine", engine), env=env) as running:
        eventually(lambda: runs_shown(running, namespace) >= 2, "the run that was asked for")
        eventually(lambda: len(running.messages("reconciled", name="foo")) >= 2, "the end of the second run")
        assert running.messages("the end of the run, here", namespace=namespace)
        assert kube.happy(namespace, "foo") is True
        assert kube.condition(namespace, "foo", "Ready")["status"] == "True"
    event = kube.api.call("GET", f"/api/v1/namespaces/{namespace}/events/foo.looked")
    assert event["count"] >= 2
    assert event["involvedObject"]["uid"] == kube.foo(namespace, "foo")["metadata"]["uid"]


def test_a_copy_of_upstreams_collection_that_the_user_installed_is_found_first(
    foo_cluster: Cluster, kube: Kube, namespace: str, watches: Path, tmp_path: Path
) -> None:
    collection = tmp_path / "mine" / "ansible_collections" / "operator_sdk" / "util"
    modules = collection / "plugins" / "modules"
    modules.mkdir(parents=True)
    for name in ("k8s_status", "k8s_event", "osdk_metric"):
        (modules / f"{name}.py").write_text(
            "from ansible.module_utils.basic import AnsibleModule\n"
            "spec = {name: {'type': 'raw'} for name in "
            "['api_version', 'kind', 'name', 'namespace', 'status', 'state', 'message', 'reason', 'involvedObject',"
            " 'description', 'counter']}\n"
            "AnsibleModule(spec).exit_json(by='by a copy of the user')\n"
        )
    (modules / "requeue_after.py").write_text(
        "from ansible.module_utils.basic import AnsibleModule\n"
        "module = AnsibleModule({'time': {'type': 'str'}})\n"
        "module.exit_json(period=module.params['time'])\n"
    )
    env = {"WATCH_NAMESPACE": namespace, "ANSIBLE_GATHERING": "explicit"}
    flags = ("--ansible-collections-path", f"{tmp_path / 'mine'}:{REPOSITORY / '.collections'}")
    kube.create_foo(namespace, "foo", "jack")
    with operator(foo_cluster.kubeconfig, watches, flags=flags, env=env) as running:
        running.wait_for_message("the end of the run, by a copy of the user", namespace=namespace)
        eventually(lambda: running.runs("foo") >= 2, "the run that was asked for")


@pytest.mark.parametrize("time", ["90s", "1h30m", "0.5s", "500ms", "0s"])
def test_requeue_after_hands_back_the_period_that_the_operator_looks_for(time: str, tmp_path: Path) -> None:
    result = run_module("requeue_after", {"time": time}, clean_environment(tmp_path))
    assert (result["period"], result["changed"]) == (time, False)


@pytest.mark.parametrize("time", ["5", "soon", "-5s", "5 s", "1d", "", "5s\n"])
def test_requeue_after_refuses_what_is_no_duration(time: str, tmp_path: Path) -> None:
    result = run_module("requeue_after", {"time": time}, clean_environment(tmp_path))
    assert result["failed"] is True
    assert f"time: found {time!r}, expected a number with a unit, such as 30s" in result["msg"]


class Metrics:
    """Takes the role of the operator for the module: remembers what was posted, and answers."""

    def __init__(self) -> None:
        self.posted: list[KubeObject] = []
        self.answer = (200, "")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(outer.answer[0])
                self.end_headers()
                self.wfile.write(outer.answer[1].encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name in http.server
                """Stay silent."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/metrics"
        self.thread = Thread(target=self.server.serve_forever, name="metrics")
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def listening() -> Iterator[Metrics]:
    made = Metrics()
    yield made
    made.stop()


def metric(tmp_path: Path, told: str | None = None, **options: object) -> KubeObject:
    environment = clean_environment(tmp_path, **({"RECONCILE_RUNNER_METRICS_URL": told} if told else {}))
    return run_module("osdk_metric", {"name": "a", "description": "b", **options}, environment)


@pytest.mark.parametrize(
    ("options", "posted"),
    [
        ({"counter": {}}, {"counter": {}}),
        ({"counter": {"increment": True, "add": 2}}, {"counter": {"increment": True, "add": 2.0}}),
        ({"gauge": {"set": 0}}, {"gauge": {"set": 0.0}}),
        ({"gauge": {"set": "2.5"}}, {"gauge": {"set": 2.5}}),
        ({"histogram": {"observe": 2}}, {"histogram": {"observe": 2.0}}),
        ({"summary": {"observe": 2}}, {"summary": {"observe": 2.0}}),
    ],
)
def test_osdk_metric_posts_what_is_given_and_no_more(
    listening: Metrics, tmp_path: Path, options: KubeObject, posted: KubeObject
) -> None:
    assert metric(tmp_path, listening.url, **options)["changed"] is True
    assert listening.posted == [{"name": "a", "description": "b", **posted}]


def test_osdk_metric_prefers_the_address_of_the_task(listening: Metrics, tmp_path: Path) -> None:
    metric(tmp_path, "http://127.0.0.1:9/metrics", address=listening.url, counter={})
    assert len(listening.posted) == 1


def test_osdk_metric_is_not_led_astray_by_a_proxy_for_the_internet(listening: Metrics, tmp_path: Path) -> None:
    environment = clean_environment(tmp_path, http_proxy="http://127.0.0.1:9", no_proxy="")
    arguments = {"name": "a", "description": "b", "counter": {}, "address": listening.url}
    assert run_module("osdk_metric", arguments, environment)["changed"] is True


def test_osdk_metric_hands_on_why_it_was_refused(listening: Metrics, tmp_path: Path) -> None:
    listening.answer = (400, "a: found a gauge, expected a counter\n")
    result = metric(tmp_path, listening.url, gauge={})
    assert (result["failed"], result["status_code"]) == (True, 400)
    assert result["msg"] == "a: found a gauge, expected a counter"


def test_osdk_metric_sends_nothing_in_check_mode(listening: Metrics, tmp_path: Path) -> None:
    assert metric(tmp_path, listening.url, counter={}, _ansible_check_mode=True)["changed"] is True
    assert listening.posted == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"counter": {}, "address": "http://127.0.0.1:9/metrics"}, "cannot be reached at http://127.0.0.1:9/metrics"),
        ({"counter": {}, "address": "localhost:5050"}, "address: found 'localhost:5050', expected a URL such as"),
        ({}, "one of the following is required: counter, gauge, histogram, summary"),
        ({"counter": {}, "gauge": {}}, "parameters are mutually exclusive"),
    ],
)
def test_osdk_metric_says_what_is_wrong(tmp_path: Path, options: KubeObject, message: str) -> None:
    result = metric(tmp_path, **options)
    assert result["failed"] is True
    assert message in result["msg"]
    assert "Traceback" not in str(result)
