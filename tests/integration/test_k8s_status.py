"""The status module against a real API server: what it writes, when it writes nothing, what it says when it cannot."""

from __future__ import annotations

import itertools
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from reconcile_devcluster import crds
from tests.support.ansible_support import (
    KubeObject,
    RecordingProxy,
    SeenRequest,
    clean_environment,
    run_module,
)
from tests.support.operator_process import Kube, eventually, foo_path
from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reconcile_devcluster.cluster import Cluster

NAMESPACE = "status-module"
EARLIER = "2025-01-01T00:00:00Z"
FOREIGN = {
    "type": "Running",
    "status": "True",
    "reason": "Successful",
    "message": "Awaiting next reconciliation",
    "lastTransitionTime": EARLIER,
    "ansibleResult": {"ok": 3, "changed": 1, "skipped": 0, "failures": 0, "completion": "2025-01-01T00:00:00.1+00:00"},
}
LINKED = {"type": "Linked", "status": "True", "reason": "PodFound", "message": "The Pod exists."}

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def kube(foo_cluster: Cluster) -> Kube:
    made = Kube(foo_cluster.api)
    made.create_namespace(NAMESPACE)
    return made


NEW = {"observedGeneration": -1}
"""The status of a Foo that nobody has looked at yet."""


class Foo:
    """A fresh Foo, and what is asked of the module about it."""

    def __init__(self, kube: Kube, environment: dict[str, str]) -> None:
        self.kube = kube
        self.environment = environment
        self.name = f"foo-{next(numbers)}"
        kube.create_foo(NAMESPACE, self.name, "jack")

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.kube.foo(NAMESPACE, self.name).get("status", {})
        return status

    @property
    def version(self) -> str:
        return str(self.kube.foo(NAMESPACE, self.name)["metadata"]["resourceVersion"])

    def patch_status(self, status: KubeObject) -> None:
        """Write as somebody else would."""
        self.kube.patch(f"{foo_path(NAMESPACE, self.name)}/status", {"status": status})

    def arguments(self, **options: object) -> KubeObject:
        mine = {"api_version": "tutorial.my.domain/v1", "kind": "Foo", "namespace": NAMESPACE, "name": self.name}
        return {name: value for name, value in (mine | options).items() if value is not None}

    def set(self, **options: object) -> KubeObject:
        """Run the module; it must succeed."""
        result = self.run(**options)
        assert "failed" not in result, result
        return result

    def run(self, **options: object) -> KubeObject:
        return run_module("k8s_status", self.arguments(**options), self.environment)


@pytest.fixture
def foo(kube: Kube, proxy: RecordingProxy, tmp_path: Path) -> Foo:
    return Foo(kube, clean_environment(tmp_path, **proxy.environment()))


def once(action: Callable[[], object]) -> Callable[[SeenRequest], int | None]:
    """Return an interference that acts before the first write."""
    pending = [action]

    def interfere(request: SeenRequest) -> int | None:
        if request.method == "PATCH" and pending:
            pending.pop()()
        return None

    return interfere


def test_a_field_is_written_once_and_the_second_run_reads_only(foo: Foo, proxy: RecordingProxy) -> None:
    first = foo.set(status={"happy": True})
    assert first["changed"] is True
    assert first["result"]["status"] == foo.status == {**NEW, "happy": True}
    assert [request.method for request in proxy.of("foos/")] == ["GET", "PATCH"]

    version = foo.version
    proxy.seen.clear()
    second = foo.set(status={"happy": True})
    assert second["changed"] is False
    assert second["result"]["status"] == {**NEW, "happy": True}
    # The second run has its discovery from the first: one request in all.
    assert [request.method for request in proxy.seen] == ["GET"]
    assert foo.version == version


def test_a_boolean_takes_the_place_of_its_opposite(foo: Foo) -> None:
    foo.patch_status({"happy": False})
    assert foo.set(status={"happy": True})["changed"] is True
    assert foo.status == {**NEW, "happy": True}


def test_fields_that_are_not_named_stay_and_null_removes(foo: Foo) -> None:
    foo.patch_status({"happy": True, "observedGeneration": 1, "conditions": [FOREIGN]})
    foo.set(status={"happy": None})
    assert foo.status == {"observedGeneration": 1, "conditions": [FOREIGN]}


def test_conditions_of_others_stay_with_their_fields(foo: Foo) -> None:
    foo.patch_status({"conditions": [FOREIGN, LINKED | {"status": "False", "lastTransitionTime": EARLIER}]})
    result = foo.set(conditions=[LINKED | {"status": True}])
    assert result["changed"] is True
    foreign, linked = foo.status["conditions"]
    assert foreign == FOREIGN
    assert linked.pop("lastTransitionTime") > EARLIER
    assert linked == LINKED


def test_a_condition_that_says_the_same_is_not_written(foo: Foo, proxy: RecordingProxy) -> None:
    foo.patch_status({"conditions": [LINKED | {"lastTransitionTime": EARLIER}]})
    result = foo.set(conditions=[LINKED | {"lastTransitionTime": "2025-05-05T00:00:00Z"}])
    assert result["changed"] is False
    assert proxy.writes == []


def test_a_new_message_leaves_the_transition_time_alone(foo: Foo) -> None:
    foo.patch_status({"conditions": [LINKED | {"lastTransitionTime": EARLIER}]})
    foo.set(conditions=[LINKED | {"message": "Still there."}])
    assert foo.status["conditions"] == [LINKED | {"message": "Still there.", "lastTransitionTime": EARLIER}]


def test_conditions_inside_the_status_are_merged_too(foo: Foo) -> None:
    foo.patch_status({"conditions": [FOREIGN]})
    foo.set(status={"happy": True, "conditions": [LINKED]})
    assert [condition["type"] for condition in foo.status["conditions"]] == ["Running", "Linked"]
    assert foo.status["happy"] is True


@pytest.mark.parametrize("option", ["replace", "force"])
def test_replace_leaves_only_what_is_given(foo: Foo, option: str) -> None:
    foo.patch_status({"happy": True, "observedGeneration": 1, "conditions": [FOREIGN]})
    foo.set(status={"happy": False}, **{option: True})
    assert foo.status == {"happy": False}
    assert foo.set(status={"happy": False}, **{option: True})["changed"] is False


def test_check_mode_predicts_and_writes_nothing(foo: Foo, proxy: RecordingProxy) -> None:
    version = foo.version
    result = foo.set(status={"happy": True}, _ansible_check_mode=True, _ansible_diff=True)
    assert result["changed"] is True
    assert result["diff"] == {"before": {"status": NEW}, "after": {"status": {**NEW, "happy": True}}}
    assert all("dryRun=All" in request.path for request in proxy.writes)
    assert foo.version == version


def test_a_write_in_between_is_not_lost(foo: Foo, proxy: RecordingProxy) -> None:
    foo.patch_status({"conditions": []})
    proxy.interfere = once(lambda: foo.patch_status({"happy": True, "conditions": [FOREIGN]}))
    assert foo.set(conditions=[LINKED])["changed"] is True
    assert [condition["type"] for condition in foo.status["conditions"]] == ["Running", "Linked"]
    assert foo.status["conditions"][0] == FOREIGN
    assert [request.method for request in proxy.of("foos/")] == ["GET", "PATCH", "GET", "PATCH"]


def test_a_write_in_between_that_does_it_leaves_nothing_to_do(foo: Foo, proxy: RecordingProxy) -> None:
    proxy.interfere = once(lambda: foo.patch_status({"conditions": [LINKED | {"lastTransitionTime": EARLIER}]}))
    assert foo.set(conditions=[LINKED])["changed"] is False


def test_a_patch_without_lists_needs_no_second_try(foo: Foo, proxy: RecordingProxy) -> None:
    proxy.interfere = once(lambda: foo.patch_status({"conditions": [FOREIGN]}))
    foo.set(status={"happy": True})
    assert len(proxy.writes) == 1
    assert proxy.writes[0].body == {"status": {"happy": True}}
    assert foo.status == {**NEW, "happy": True, "conditions": [FOREIGN]}


def test_endless_conflicts_end_in_an_error(foo: Foo, proxy: RecordingProxy) -> None:
    generations = itertools.count(1)

    def interfere(request: SeenRequest) -> None:
        if request.method == "PATCH":
            foo.patch_status({"observedGeneration": next(generations)})

    proxy.interfere = interfere
    result = foo.run(conditions=[LINKED])
    assert result["failed"] is True
    assert result["reason"] == "Conflict"
    assert f"Foo {NAMESPACE}/{foo.name}: gave up writing its status after 5 conflicts" in result["msg"]
    assert len(proxy.writes) == 5
    assert "conditions" not in foo.status


def test_a_field_that_the_schema_does_not_know_is_named(foo: Foo) -> None:
    first = foo.set(status={"happy": True, "mood": "good"})
    assert (first["changed"], first["dropped"]) == (True, ["status.mood"])
    assert any("the API server dropped status.mood" in str(warning) for warning in first["warnings"])
    second = foo.set(status={"happy": True, "mood": "good"})
    assert (second["changed"], second["dropped"]) == (False, ["status.mood"])


@pytest.mark.parametrize(
    ("options", "message", "reason"),
    [
        pytest.param(
            {"kind": "Fooo"},
            "tutorial.my.domain/v1 Fooo: the cluster has no such kind",
            "NotFound",
            id="no such kind",
        ),
        pytest.param(
            {"api_version": "no.such.group/v1"},
            "no.such.group/v1 Foo: the cluster has no such kind",
            "NotFound",
            id="no such group",
        ),
        pytest.param(
            {"api_version": "v1", "kind": "ConfigMap"},
            "v1 ConfigMap: this kind has no status subresource",
            None,
            id="no status subresource",
        ),
        pytest.param(
            {"name": "nobody"},
            f"tutorial.my.domain/v1 Foo {NAMESPACE}/nobody: not found",
            "NotFound",
            id="no such object",
        ),
        pytest.param({"namespace": None}, "this kind is namespaced, so the option namespace", None, id="no namespace"),
        pytest.param(
            {"status": {"happy": "very"}},
            "the API server refuses it as invalid: ",
            "Invalid",
            id="wrong type",
        ),
        pytest.param({"status": None}, "one of the following is required: status, conditions", None, id="nothing"),
        pytest.param(
            {"status": None, "conditions": [{"type": "Ready", "status": "Maybe"}]},
            "conditions[0].status: expected one of True, False, Unknown, found 'Maybe'",
            None,
            id="wrong condition",
        ),
        pytest.param(
            {"status": {"conditions": [LINKED]}, "conditions": [LINKED]},
            "conditions: given in the option status as well",
            None,
            id="conditions twice",
        ),
    ],
)
def test_a_mistake_is_said_plainly(foo: Foo, options: dict[str, Any], message: str, reason: str | None) -> None:
    result = foo.run(**({"status": {"happy": True}} | options))
    assert result["failed"] is True
    assert message in result["msg"]
    assert result.get("reason") == reason
    assert "Traceback" not in str(result)
    assert foo.status == NEW


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        pytest.param({"name": "nobody"}, HTTPStatus.NOT_FOUND, "Not Found", id="no such object"),
        pytest.param({"status": {"happy": "very"}}, HTTPStatus.UNPROCESSABLE_ENTITY, "Unprocessable Entity", id="422"),
    ],
)
def test_an_answer_has_the_shape_that_roles_know(
    foo: Foo, options: dict[str, Any], status: HTTPStatus, reason: str
) -> None:
    """Roles ask `result.error.status`, as `operator_sdk.util.k8s_status` and kubernetes.core hand it back."""
    result = foo.run(**({"status": {"happy": True}} | options))
    error = result["error"]
    assert error["status"] == result["code"] == status
    assert error["reason"] == reason
    assert json.loads(error["body"])["code"] == status


def test_a_condition_that_is_not_valid_is_an_error_of_words(foo: Foo) -> None:
    result = foo.run(conditions=[LINKED | {"lastTransitionTime": "26/03/2021 2:00PM"}])
    assert result["failed"] is True
    assert "conditions[0].lastTransitionTime" in result["error"]


def test_a_time_that_upstream_takes_is_stored_as_the_api_server_wants_it(foo: Foo) -> None:
    foo.set(conditions=[LINKED | {"lastTransitionTime": "2025-01-01 00:00:00+00:00"}])
    [linked] = foo.status["conditions"]
    assert linked["lastTransitionTime"] == "2025-01-01T00:00:00+00:00"


def test_conditions_of_an_empty_list_leave_the_others_to_the_status(foo: Foo) -> None:
    foo.set(status={"conditions": [LINKED]}, conditions=[])
    assert [each["type"] for each in foo.status["conditions"]] == ["Linked"]


def test_an_object_deleted_in_between_is_not_found(foo: Foo, proxy: RecordingProxy) -> None:
    proxy.interfere = once(lambda: foo.kube.delete_foo(NAMESPACE, foo.name))
    result = foo.run(status={"happy": True})
    assert (result["failed"], result["reason"], result["code"]) == (True, "NotFound", HTTPStatus.NOT_FOUND)
    assert f"Foo {NAMESPACE}/{foo.name}: not found" in result["msg"]


@pytest.mark.parametrize(
    ("verbs", "message"),
    [
        pytest.param({}, "cannot read it: forbidden: ", id="may not read"),
        pytest.param({"foos": ["get"]}, "cannot write the status of it: forbidden: ", id="may not write"),
    ],
)
def test_what_is_forbidden_is_named(
    foo: Foo, foo_cluster: Cluster, tmp_path: Path, verbs: dict[str, list[str]], message: str
) -> None:
    user = f"user-of-{foo.name}"
    kubeconfig = grant(foo_cluster, user, verbs)
    foo.environment = clean_environment(tmp_path, K8S_AUTH_KUBECONFIG=str(kubeconfig))
    result = foo.run(status={"happy": True})
    assert (result["failed"], result["reason"]) == (True, "Forbidden")
    assert f"Foo {NAMESPACE}/{foo.name}: {message}" in result["msg"]
    assert user in result["msg"]


@pytest.mark.parametrize("option", ["status", "replace"])
def test_the_rights_to_get_and_to_patch_the_status_suffice(
    foo: Foo, foo_cluster: Cluster, tmp_path: Path, option: str
) -> None:
    kubeconfig = grant(foo_cluster, f"user-of-{foo.name}", {"foos": ["get"], "foos/status": ["patch"]})
    foo.environment = clean_environment(tmp_path)
    foo.set(status={"happy": True}, kubeconfig=str(kubeconfig), **({"replace": True} if option == "replace" else {}))
    assert foo.status == ({"happy": True} if option == "replace" else {**NEW, "happy": True})


def grant(cluster: Cluster, user: str, verbs: dict[str, list[str]]) -> Path:
    """Create a user who may do these things with Foos, and return their kubeconfig."""
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}"
    rules = [
        {"apiGroups": ["tutorial.my.domain"], "resources": [resource], "verbs": allowed}
        for resource, allowed in verbs.items()
    ]
    cluster.api.call("POST", f"{rbac}/roles", {"metadata": {"name": user}, "rules": rules})
    binding = {
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    cluster.api.call("POST", f"{rbac}/rolebindings", binding)
    return cluster.create_user(user)


def test_an_api_server_that_is_not_there_is_named(foo: Foo, tmp_path: Path, proxy: RecordingProxy) -> None:
    # Port 9 of the loopback (discard) is served by nothing.
    foo.environment = clean_environment(tmp_path, K8S_AUTH_HOST="http://127.0.0.1:9", K8S_AUTH_API_KEY="x")
    result = foo.run(status={"happy": True})
    assert result["failed"] is True
    assert f"Foo {NAMESPACE}/{foo.name}: cannot reach the API server" in result["msg"]
    assert "Traceback" not in str(result)


@pytest.mark.parametrize("kubeconfig", ["/nowhere/kubeconfig", None], ids=["wrong path", "none"])
def test_a_missing_kubeconfig_is_named(foo: Foo, tmp_path: Path, kubeconfig: str | None) -> None:
    foo.environment = clean_environment(tmp_path)
    result = foo.run(status={"happy": True}, kubeconfig=kubeconfig)
    assert result["failed"] is True
    assert "no usable configuration of a cluster" in result["msg"]
    assert "Traceback" not in str(result)


def test_a_wrong_token_is_said(foo: Foo, foo_cluster: Cluster, tmp_path: Path) -> None:
    foo.environment = clean_environment(
        tmp_path, K8S_AUTH_HOST=foo_cluster.server, K8S_AUTH_API_KEY="wrong", K8S_AUTH_VERIFY_SSL="false"
    )
    result = foo.run(status={"happy": True})
    assert (result["failed"], result["code"]) == (True, HTTPStatus.UNAUTHORIZED)
    assert "not authenticated" in result["msg"]


def test_a_kind_of_the_whole_cluster_needs_no_namespace(foo: Foo) -> None:
    name = f"node-{foo.name}"
    foo.kube.api.call("POST", "/api/v1/nodes", {"metadata": {"name": name}})
    condition = {"type": "Ready", "status": "True", "reason": "Fine", "message": "", "lastHeartbeatTime": EARLIER}
    options = {"api_version": "v1", "kind": "Node", "name": name, "namespace": None, "conditions": [condition]}
    assert foo.set(**options)["changed"] is True
    assert foo.set(**options)["changed"] is False
    assert foo.set(**(options | {"namespace": "ignored"}))["changed"] is False


def test_a_status_subresource_that_came_later_is_found(foo: Foo, tmp_path: Path) -> None:
    definition = yaml.safe_load((REPOSITORY / "crds/foos.yaml").read_text(encoding="utf-8"))
    definition["metadata"]["name"] = "bars.late.my.domain"
    names = {"kind": "Bar", "listKind": "BarList", "plural": "bars", "singular": "bar"}
    definition["spec"] |= {"group": "late.my.domain", "names": names}
    version = definition["spec"]["versions"][0]
    subresources = version.pop("subresources")
    bars = f"/apis/late.my.domain/v1/namespaces/{NAMESPACE}/bars"
    install(foo.kube, definition, tmp_path)
    eventually(lambda: foo.kube.exists(bars), "bars to be served")
    bar = {"apiVersion": "late.my.domain/v1", "kind": "Bar", "metadata": {"name": "bar"}, "spec": {"name": "jack"}}
    foo.kube.api.call("POST", bars, bar)
    options = {"api_version": "late.my.domain/v1", "kind": "Bar", "name": "bar", "status": {"happy": True}}
    assert "this kind has no status subresource" in foo.run(**options)["msg"]

    version["subresources"] = subresources
    install(foo.kube, definition, tmp_path)
    eventually(lambda: foo.kube.exists(f"{bars}/bar/status"), "the status subresource to be served")
    eventually(lambda: "bars/status" in resources(foo.kube), "the status subresource to be discovered")
    assert foo.set(**options)["changed"] is True


def install(kube: Kube, definition: KubeObject, directory: Path) -> None:
    file = directory / "crd.yaml"
    file.write_text(yaml.safe_dump(definition), encoding="utf-8")
    crds.install(kube.api, file)


def resources(kube: Kube) -> list[str]:
    return [resource["name"] for resource in kube.api.call("GET", "/apis/late.my.domain/v1")["resources"]]
