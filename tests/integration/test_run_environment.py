"""What the operator's environment does to its runs: nothing leads them past the run's proxy, or keeps them from it."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from reconcile_devcluster.cluster import Cluster
from tests.support.operator_process import REPOSITORY, Kube, eventually, operator, write_foo_watches

pytestmark = pytest.mark.timeout(120)

OUTSIDE = "http://outside.example/hello"
TASKS = f"""
- name: Ask a module of kubernetes.core
  kubernetes.core.k8s_info:
    api_version: v1
    kind: Pod
    namespace: "{{{{ ansible_operator_meta.namespace }}}}"
- name: Ask a lookup of kubernetes.core
  ansible.builtin.set_fact:
    pods: "{{{{ query('kubernetes.core.k8s', kind='Pod', namespace=ansible_operator_meta.namespace) }}}}"
- name: Ask a program that reads the kubeconfig
  ansible.builtin.command: kubectl get pods --namespace "{{{{ ansible_operator_meta.namespace }}}}"
  changed_when: false
- name: Send a metric
  operator_sdk.util.osdk_metric:
    name: seen_total
    description: Runs
    counter: {{increment: true}}
- name: Ask somebody outside
  ansible.builtin.uri:
    url: {OUTSIDE}
- name: Set the status
  reconcile_runner.util.k8s_status:
    api_version: tutorial.my.domain/v1
    kind: Foo
    name: "{{{{ ansible_operator_meta.name }}}}"
    namespace: "{{{{ ansible_operator_meta.namespace }}}}"
    status:
      happy: true
"""


class HttpProxy:
    """Stands for a company's HTTP proxy, and for a foreign API server: notes each request line, and answers it."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append(self.requestline)
                self.send_response(200)
                self.end_headers()

            do_POST = do_PATCH = do_CONNECT = do_GET  # noqa: N815 their names in http.server

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its name in http.server
                """Stay silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = Thread(target=self.server.serve_forever, name="http proxy")
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def http_proxy() -> Iterator[HttpProxy]:
    made = HttpProxy()
    yield made
    made.stop()


@pytest.mark.parametrize(("engine", "spelling"), [("forkserver", str.upper), ("subprocess", str.lower)])
def test_a_company_s_proxy_gets_what_goes_outside_and_nothing_else(
    foo_cluster: Cluster, http_proxy: HttpProxy, tmp_path: Path, engine: str, spelling: type[str]
) -> None:
    kube, namespace = Kube(foo_cluster.api), f"company-{engine}"
    kube.create_namespace(namespace)
    kube.create_foo(namespace, "foo", "jack")
    proxies = {spelling(name): http_proxy.url for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")}
    env = {
        "WATCH_NAMESPACE": namespace,
        "ANSIBLE_GATHERING": "explicit",
        **proxies,
        spelling("NO_PROXY"): "intern.example",
    }
    # The operator's own connection is not what is tested: client-go, too, never takes a proxy to loopback.
    with operator(foo_cluster.kubeconfig, write_foo_watches(tmp_path, TASKS), flags=("--engine", engine), env=env):
        eventually(lambda: kube.happy(namespace, "foo") is True, "a run to its end")
    assert {line.split()[1] for line in http_proxy.seen} == {OUTSIDE}


@pytest.mark.exhaustive
@pytest.mark.parametrize("engine", ["forkserver", "subprocess"])
def test_variables_for_another_cluster_are_withheld_and_named(
    foo_cluster: Cluster, http_proxy: HttpProxy, tmp_path: Path, engine: str
) -> None:
    kube, namespace = Kube(foo_cluster.api), f"elsewhere-{engine}"
    kube.create_namespace(namespace)
    kube.create_foo(namespace, "foo", "jack")
    elsewhere = {
        "K8S_AUTH_HOST": http_proxy.url,
        "K8S_AUTH_API_KEY": "of-another-cluster",
        "K8S_AUTH_CONTEXT": "of-another-cluster",
        "HELM_KUBEAPISERVER": http_proxy.url,
    }
    env = {"WATCH_NAMESPACE": namespace, "ANSIBLE_GATHERING": "explicit", **elsewhere}
    tasks = TASKS.replace(f"url: {OUTSIDE}", f"url: {http_proxy.url}/hello")
    with operator(
        foo_cluster.kubeconfig, write_foo_watches(tmp_path, tasks), flags=("--engine", engine), env=env
    ) as it:
        eventually(lambda: kube.happy(namespace, "foo") is True, "a run to its end")
        [line] = it.messages("variables that name an API server are not for runs")
    assert line["variables"] == sorted(elsewhere)
    assert {line.split()[1] for line in http_proxy.seen} == {"/hello"}


@pytest.mark.parametrize("locale", ["C", "no_SUCH.UTF-8"])
def test_a_locale_that_ansible_refuses_does_not_fail_the_runs(
    foo_cluster: Cluster, tmp_path: Path, locale: str
) -> None:
    kube, namespace = Kube(foo_cluster.api), f"locale-{locale[:5].lower().replace('_', '-')}"
    kube.create_namespace(namespace)
    kube.create_foo(namespace, "foo", "jack")
    env = {"WATCH_NAMESPACE": namespace, "ANSIBLE_GATHERING": "explicit", "LC_ALL": locale}
    tasks = TASKS[TASKS.index("- name: Set the status") :]
    with operator(foo_cluster.kubeconfig, write_foo_watches(tmp_path, tasks), env=env) as running:
        eventually(lambda: kube.happy(namespace, "foo") is True, "a run to its end")
        assert running.messages("runs get the locale C.UTF-8")


MODULE = """
from ansible.module_utils.basic import AnsibleModule
AnsibleModule({}).exit_json(happy=True)
"""
PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  roles: [cheer]
"""
CHEER = """
- cheer_up:
  register: mood
- reconcile_runner.util.k8s_status:
    api_version: tutorial.my.domain/v1
    kind: Foo
    name: "{{ ansible_operator_meta.name }}"
    namespace: "{{ ansible_operator_meta.namespace }}"
    status: {happy: "{{ mood.happy }}"}
"""


def test_a_playbook_finds_the_roles_and_modules_of_the_project(foo_cluster: Cluster, tmp_path: Path) -> None:
    kube, namespace = Kube(foo_cluster.api), "project-paths"
    kube.create_namespace(namespace)
    kube.create_foo(namespace, "foo", "jack")
    files = {
        "playbooks/foo.yml": PLAYBOOK,
        "roles/cheer/tasks/main.yml": CHEER,
        "library/cheer_up.py": MODULE,
        "ansible.cfg": "[defaults]\nnocows = True\n",
        "watches.yaml": "- {group: tutorial.my.domain, version: v1, kind: Foo, playbook: playbooks/foo.yml}\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    env = {"WATCH_NAMESPACE": namespace, "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")}
    env["ANSIBLE_COLLECTIONS_PATH"] = str(REPOSITORY / ".collections")
    with operator(foo_cluster.kubeconfig, tmp_path / "watches.yaml", env=env, directory=tmp_path):
        eventually(lambda: kube.happy(namespace, "foo") is True, "a run to its end")
