"""The Event module against a real API server: what it writes and counts, and what it says when it cannot."""

from __future__ import annotations

import itertools
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.ansible_support import (
    KubeObject,
    RecordingProxy,
    SeenRequest,
    clean_environment,
    run_module,
)
from tests.support.operator_process import Kube

if TYPE_CHECKING:
    from pathlib import Path

    from reconcile_devcluster.cluster import Cluster

NAMESPACE = "event-module"

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def kube(foo_cluster: Cluster) -> Kube:
    made = Kube(foo_cluster.api)
    made.create_namespace(NAMESPACE)
    return made


def path_of(name: str = "", namespace: str = NAMESPACE) -> str:
    return f"/api/v1/namespaces/{namespace}/events/{name}".rstrip("/")


class News:
    """A fresh Foo, and the Events about it."""

    def __init__(self, kube: Kube, environment: dict[str, str]) -> None:
        self.kube = kube
        self.environment = environment
        self.foo = f"foo-{next(numbers)}"
        self.name = f"{self.foo}.became-happy"
        kube.create_foo(NAMESPACE, self.foo, "jack")

    @property
    def uid(self) -> str:
        return str(self.kube.foo(NAMESPACE, self.foo)["metadata"]["uid"])

    @property
    def event(self) -> dict[str, Any]:
        return self.kube.api.call("GET", path_of(self.name))

    def involved(self, **fields: object) -> KubeObject:
        return {"apiVersion": "tutorial.my.domain/v1", "kind": "Foo", "name": self.foo, **fields}

    def run(self, **options: object) -> KubeObject:
        said = {
            "name": self.name,
            "namespace": NAMESPACE,
            "reason": "BecameHappy",
            "message": "Its friend has arrived",
            "involvedObject": self.involved(),
        }
        given = {name: value for name, value in (said | options).items() if value is not None}
        return run_module("k8s_event", given, self.environment)

    def tell(self, **options: object) -> KubeObject:
        """Run the module; it must succeed."""
        result = self.run(**options)
        assert "failed" not in result, result
        return result


@pytest.fixture
def news(kube: Kube, proxy: RecordingProxy, tmp_path: Path) -> News:
    return News(kube, clean_environment(tmp_path, **proxy.environment()))


def test_an_event_is_created_with_all_that_is_said(news: News) -> None:
    origin = {"reportingComponent": "tutorial.my.domain/foo", "reportingInstance": "pod-1"}
    result = news.tell(type="Warning", source={"component": "foo-operator", "host": "node-1"}, **origin)
    assert result["changed"] is True
    event = news.event
    assert {key: event[key] for key in ("reason", "message", "type", "count")} == {
        "reason": "BecameHappy",
        "message": "Its friend has arrived",
        "type": "Warning",
        "count": 1,
    }
    assert event["source"] == {"component": "foo-operator", "host": "node-1"}
    assert {key: event[key] for key in origin} == origin
    assert event["firstTimestamp"] == event["lastTimestamp"]
    assert result["result"]["metadata"]["uid"] == event["metadata"]["uid"]


def test_kubectl_describe_finds_it_by_the_uid_that_was_looked_up(news: News) -> None:
    news.tell()
    selector = f"involvedObject.name={news.foo},involvedObject.namespace={NAMESPACE},involvedObject.uid={news.uid}"
    found = news.kube.api.call("GET", f"{path_of()}?fieldSelector={selector}")
    assert [event["metadata"]["name"] for event in found["items"]] == [news.name]
    assert news.event["involvedObject"]["resourceVersion"]


def test_a_uid_that_is_given_saves_the_look_up(news: News, proxy: RecordingProxy) -> None:
    news.tell(involvedObject=news.involved(uid=news.uid))
    assert proxy.of("foos/") == []
    assert [request.method for request in proxy.of("events")] == ["GET", "POST"]
    assert news.event["involvedObject"] == news.involved(uid=news.uid, namespace=NAMESPACE)


def test_the_same_again_is_counted(news: News, proxy: RecordingProxy) -> None:
    first = news.tell()["result"]
    proxy.seen.clear()
    second = news.tell(message="Its friend has arrived again")["result"]
    assert (first["count"], second["count"], news.event["count"]) == (1, 2, 2)
    assert second["firstTimestamp"] == first["firstTimestamp"]
    assert second["message"] == "Its friend has arrived again"
    assert [request.method for request in proxy.of("events")] == ["GET", "PATCH"]


def test_another_reason_begins_again(news: News) -> None:
    news.tell()
    news.tell()
    assert news.tell(reason="BecameVeryHappy")["result"]["count"] == 1


def test_an_object_that_was_made_again_begins_again(news: News) -> None:
    news.tell()
    news.kube.delete_foo(NAMESPACE, news.foo)
    news.kube.create_foo(NAMESPACE, news.foo, "jack")
    assert news.tell()["result"]["count"] == 1
    assert news.event["involvedObject"]["uid"] == news.uid


def test_two_that_count_at_once_are_both_counted(news: News, proxy: RecordingProxy) -> None:
    news.tell()
    pending = [lambda: news.kube.patch(path_of(news.name), {"count": 7})]

    def interfere(request: SeenRequest) -> None:
        if request.method == "PATCH" and pending:
            pending.pop()()

    proxy.interfere = interfere
    assert news.tell()["result"]["count"] == 8


def test_an_event_that_expires_in_between_is_made_anew(news: News, proxy: RecordingProxy) -> None:
    news.tell()

    def interfere(request: SeenRequest) -> None:
        if request.method == "PATCH":
            news.kube.api.call("DELETE", path_of(news.name))

    proxy.interfere = interfere
    assert news.tell()["result"]["count"] == 1


def test_with_a_timestamp_each_is_an_event_of_its_own(news: News, proxy: RecordingProxy) -> None:
    names = {news.tell(appendTimestamp=True)["result"]["metadata"]["name"] for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith(f"{news.name}.") for name in names)
    assert [request.method for request in proxy.of("events")] == ["POST", "POST"]


def test_absent_deletes_once(news: News) -> None:
    news.tell()
    absent = {"state": "absent", "message": None, "reason": None, "involvedObject": None}
    assert news.tell(_ansible_check_mode=True, **absent)["changed"] is True
    assert news.kube.exists(path_of(news.name))
    assert news.tell(**absent)["changed"] is True
    assert not news.kube.exists(path_of(news.name))
    assert news.tell(**absent)["changed"] is False


def test_check_mode_predicts_and_writes_nothing(news: News, proxy: RecordingProxy) -> None:
    result = news.tell(_ansible_check_mode=True)
    assert (result["changed"], result["result"]["count"]) == (True, 1)
    assert all("dryRun=All" in request.path for request in proxy.writes)
    assert not news.kube.exists(path_of(news.name))


def test_an_object_of_the_whole_cluster_has_its_events_in_default(news: News) -> None:
    involved = {"apiVersion": "v1", "kind": "Namespace", "name": NAMESPACE}
    result = news.tell(namespace="default", involvedObject=involved)
    assert "namespace" not in result["result"]["involvedObject"]
    assert result["result"]["involvedObject"]["uid"]


@pytest.mark.parametrize("involved", [{"name": "nobody"}, {"kind": "Fooo"}, {"apiVersion": "no.such.group/v1"}])
def test_an_object_that_is_not_there_is_spoken_of_all_the_same(news: News, involved: KubeObject) -> None:
    result = news.tell(involvedObject=news.involved(namespace=NAMESPACE) | involved)
    assert "uid" not in result["result"]["involvedObject"]


def test_the_options_of_upstreams_example_are_taken(news: News) -> None:
    result = news.tell(
        state="present",
        merge_type=["strategic-merge"],
        reportingComponent="Reporting components",
        appendTimestamp=True,
        type="Normal",
        source={"component": "test-component"},
    )
    assert result["changed"] is True


def test_a_task_without_reason_or_message_is_refused(news: News) -> None:
    result = news.run(reason=None)
    assert result["failed"] is True
    assert "state is present but all of the following are missing: reason" in result["msg"]


def test_a_namespace_that_is_not_the_objects_is_refused_with_the_api_servers_words(news: News) -> None:
    result = news.run(namespace="default", involvedObject=news.involved(namespace=NAMESPACE))
    assert (result["failed"], result["code"]) == (True, HTTPStatus.UNPROCESSABLE_ENTITY)
    assert f"v1 Event default/{news.name}: cannot create it: the API server refuses it as invalid" in result["msg"]


def test_a_namespace_that_is_not_there_is_named(news: News) -> None:
    result = news.run(namespace="nowhere", involvedObject=news.involved(namespace="nowhere"))
    assert result["reason"] == "NotFound"
    assert 'namespaces "nowhere" not found' in result["msg"]


def test_what_is_forbidden_has_a_reason_by_which_a_role_can_ignore_it(
    news: News, foo_cluster: Cluster, tmp_path: Path
) -> None:
    kubeconfig = foo_cluster.create_user(f"user-of-{news.foo}")
    news.environment = clean_environment(tmp_path, K8S_AUTH_KUBECONFIG=str(kubeconfig))
    result = news.run()
    assert (result["failed"], result["reason"], result["code"]) == (True, "Forbidden", HTTPStatus.FORBIDDEN)
    assert "Traceback" not in str(result)


def test_an_object_that_may_not_be_read_only_lacks_its_uid(news: News, foo_cluster: Cluster, tmp_path: Path) -> None:
    user = f"user-of-{news.foo}"
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
    rule = {"apiGroups": [""], "resources": ["events"], "verbs": ["get", "create", "patch"]}
    foo_cluster.api.call("POST", f"{rbac}/roles", {"metadata": {"name": user}, "rules": [rule]})
    binding = {
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    foo_cluster.api.call("POST", f"{rbac}/rolebindings", binding)
    news.environment = clean_environment(tmp_path, K8S_AUTH_KUBECONFIG=str(foo_cluster.create_user(user)))
    assert "uid" not in news.tell()["result"]["involvedObject"]
    assert news.tell()["result"]["count"] == 2
