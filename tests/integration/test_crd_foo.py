"""The Foo kind as the API server sees it: what it accepts, what it says to a mistake, and what a list shows."""

from __future__ import annotations

import http.client
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from reconcile_devcluster.errors import ApiRequestError
from tests.support.operator_process import REPOSITORY, Kube, foo_path

if TYPE_CHECKING:
    from pathlib import Path

    from reconcile_devcluster.cluster import Cluster

NAMESPACE = "foo-kind"
RULE = "must be a valid Pod name (a DNS-1123 subdomain)"


@pytest.fixture(scope="module")
def kube(foo_cluster: Cluster) -> Kube:
    made = Kube(foo_cluster.api)
    made.create_namespace(NAMESPACE)
    return made


@pytest.mark.parametrize("friend", ["jack", "a", "0", "123", "jack-2.example", "a" * 253, ".".join("a" * 127)])
def test_a_valid_pod_name_is_accepted(kube: Kube, friend: str) -> None:
    kube.create_foo(NAMESPACE, "accepted", friend)
    assert kube.foo(NAMESPACE, "accepted")["spec"]["name"] == friend
    kube.delete_foo(NAMESPACE, "accepted")


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        pytest.param({"name": ""}, f"spec.name: Invalid value: {RULE}", id="empty"),
        pytest.param({"name": "Jack"}, f"spec.name: Invalid value: {RULE}", id="upper case"),
        pytest.param({"name": "jack_"}, f"spec.name: Invalid value: {RULE}", id="underscore"),
        pytest.param({"name": "-jack"}, f"spec.name: Invalid value: {RULE}", id="dash first"),
        pytest.param({"name": "jack."}, f"spec.name: Invalid value: {RULE}", id="dot last"),
        pytest.param({"name": "jack\n"}, f"spec.name: Invalid value: {RULE}", id="line break"),
        pytest.param({"name": "a,b=c"}, f"spec.name: Invalid value: {RULE}", id="field selector"),
        pytest.param({"name": "{{ 1 + 1 }}"}, f"spec.name: Invalid value: {RULE}", id="template"),
        pytest.param({"name": "a" * 254}, "spec.name: Too long: may not be more than 253", id="too long"),
        pytest.param({"name": 1}, 'spec.name: Invalid value: "integer"', id="number"),
        pytest.param({}, "spec.name: Required value", id="no name"),
        pytest.param(None, "spec: Required value", id="no spec"),
    ],
)
def test_an_invalid_friend_is_refused_in_plain_words(kube: Kube, spec: dict[str, Any] | None, complaint: str) -> None:
    foo = {"apiVersion": "tutorial.my.domain/v1", "kind": "Foo", "metadata": {"name": "refused"}}
    with pytest.raises(ApiRequestError) as caught:
        kube.api.call("POST", foo_path(NAMESPACE), foo | ({} if spec is None else {"spec": spec}))
    assert caught.value.status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert complaint in without_value(str(caught.value))


def without_value(message: str) -> str:
    """Cut out the value that the API server repeats before the message of a rule."""
    start, quote, rest = message.partition('Invalid value: "')
    if not quote or RULE not in rest:
        return message
    return f"{start}Invalid value: {rest[rest.index(RULE) :]}"


def test_a_list_shows_friend_happy_ready_and_age(kube: Kube) -> None:
    kube.create_foo(NAMESPACE, "listed", "jack")
    ready = {"type": "Ready", "status": "False"}
    kube.patch(f"{foo_path(NAMESPACE, 'listed')}/status", {"status": {"happy": True, "conditions": [ready]}})
    table = as_table(kube, foo_path(NAMESPACE, "listed"))
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Friend", "Happy", "Ready", "Age"]
    [row] = table["rows"]
    assert row["cells"][:4] == ["listed", "jack", True, "False"]


def as_table(kube: Kube, path: str) -> dict[str, Any]:
    """Ask as kubectl does, for what it prints."""
    connection = http.client.HTTPSConnection(kube.api.host, kube.api.port, context=kube.api.tls, timeout=30)
    headers = {
        "Accept": "application/json;as=Table;v=v1;g=meta.k8s.io",
        "Authorization": f"Bearer {kube.api.token}",
    }
    try:
        connection.request("GET", path, headers=headers)
        table: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return table


def test_the_operators_conditions_keep_all_their_fields(kube: Kube) -> None:
    kube.create_foo(NAMESPACE, "conditioned", "jack")
    running = {
        "type": "Running",
        "status": "True",
        "reason": "Successful",
        "message": "Awaiting next reconciliation",
        "lastTransitionTime": "2025-01-01T00:00:00Z",
        "ansibleResult": {
            "ok": 3,
            "changed": 1,
            "skipped": 0,
            "failures": 0,
            "completion": "2025-01-01T00:00:00.123456+00:00",
        },
    }
    failure = {"type": "Failure", "status": "False", "reason": "", "message": "", "observedGeneration": 1}
    status = {"observedGeneration": 1, "conditions": [running, failure]}
    kube.patch(f"{foo_path(NAMESPACE, 'conditioned')}/status", {"status": status})
    assert kube.foo(NAMESPACE, "conditioned")["status"] == status


def test_a_condition_type_is_there_once(kube: Kube) -> None:
    kube.create_foo(NAMESPACE, "twice", "jack")
    twice = [{"type": "Ready", "status": "True"}, {"type": "Ready", "status": "False"}]
    with pytest.raises(ApiRequestError, match="Duplicate value"):
        kube.patch(f"{foo_path(NAMESPACE, 'twice')}/status", {"status": {"conditions": twice}})


def test_the_status_belongs_to_its_subresource(kube: Kube) -> None:
    kube.create_foo(NAMESPACE, "separate", "jack")
    kube.patch(foo_path(NAMESPACE, "separate"), {"status": {"happy": True}})
    assert kube.foo(NAMESPACE, "separate")["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize("file", sorted((REPOSITORY / "config/samples").glob("[!k]*.yaml")), ids=lambda path: path.name)
def test_a_sample_is_accepted(kube: Kube, file: Path) -> None:
    sample = yaml.safe_load(file.read_text(encoding="utf-8"))
    pods = f"/api/v1/namespaces/{NAMESPACE}/pods"
    path = foo_path(NAMESPACE) if sample["kind"] == "Foo" else pods
    kube.api.call("POST", f"{path}?dryRun=All&fieldValidation=Strict", sample)


def test_the_samples_look_for_jack_and_joe() -> None:
    found = {}
    for name in ("foo-01", "foo-02"):
        sample = yaml.safe_load((REPOSITORY / f"config/samples/{name}.yaml").read_text(encoding="utf-8"))
        found[sample["metadata"]["name"]] = sample["spec"]["name"]
    assert found == {"foo-01": "jack", "foo-02": "joe"}
