"""Which rights a run's requests need: the table is that of apiserver's ``RequestInfo``."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from reconcile_runner.metrics import RIGHTS_USED, Metrics, RequestScope, UsedRight
from reconcile_runner.proxy import rights
from reconcile_runner.proxy.authority import Authority
from reconcile_runner.proxy.rights import UsedRights, needed_rights
from reconcile_runner.proxy.tokens import ProxiedRun
from tests.unit.proxy.bench import OWNER

RUN = Authority(ProxiedRun(OWNER, "token"))
"""Its object is in the namespace ``n``."""
OWN, OTHER, CLUSTER = RequestScope.OWN, RequestScope.OTHER, RequestScope.CLUSTER

REQUESTS = [
    ("GET", "/api/v1/namespaces/n/pods/a", "", "pods", "get", OWN),
    ("HEAD", "/api/v1/namespaces/n/pods/a", "", "pods", "get", OWN),
    ("GET", "/api/v1/namespaces/other/pods?limit=5", "", "pods", "list", OTHER),
    ("GET", "/api/v1/pods?watch=true", "", "pods", "watch", CLUSTER),
    ("GET", "/api/v1/pods?watch=0", "", "pods", "list", CLUSTER),
    ("GET", "/api/v1/namespaces/n/pods/a?watch=1", "", "pods", "get", OWN),
    ("POST", "/apis/apps/v1/namespaces/n/deployments", "apps", "deployments", "create", OWN),
    ("PUT", "/apis/apps/v1/namespaces/n/deployments/a", "apps", "deployments", "update", OWN),
    ("PATCH", "/apis/apps/v1/namespaces/n/deployments/a/scale", "apps", "deployments/scale", "patch", OWN),
    ("DELETE", "/apis/apps/v1/namespaces/n/deployments/a", "apps", "deployments", "delete", OWN),
    ("DELETE", "/apis/apps/v1/namespaces/n/deployments", "apps", "deployments", "deletecollection", OWN),
    ("GET", "/api/v1/nodes/a", "", "nodes", "get", CLUSTER),
    ("GET", "/api/v1/namespaces/n", "", "namespaces", "get", CLUSTER),
    ("GET", "/api/v1/namespaces/n/services/a/proxy/some/path", "", "services/proxy", "get", OWN),
]


@pytest.mark.parametrize(("method", "path", "group", "resource", "verb", "scope"), REQUESTS, ids=str)
def test_a_request_needs_what_the_api_server_looks_for(
    method: str, path: str, group: str, resource: str, verb: str, scope: RequestScope
) -> None:
    assert list(needed_rights(make_mocked_request(method, path), RUN)) == [UsedRight(group, resource, verb, scope)]


@pytest.mark.parametrize("path", ["/version", "/api", "/apis/apps/v1", "/openapi/v3", "/healthz"])
def test_what_everybody_may_ask_needs_no_right(path: str) -> None:
    assert list(needed_rights(make_mocked_request("GET", path), RUN)) == []


def test_a_command_in_a_pod_needs_what_either_protocol_asks_for() -> None:
    request = make_mocked_request("GET", "/api/v1/namespaces/n/pods/a/exec?command=x", {"Upgrade": "websocket"})
    assert list(needed_rights(request, RUN)) == [UsedRight("", "pods/exec", verb, OWN) for verb in ("create", "get")]


def test_who_is_impersonated_needs_the_right_itself() -> None:
    path = "/api/v1/namespaces/n/secrets/a"
    as_jack = Authority(RUN.run, (("Impersonate-User", "jack"),))
    [right] = needed_rights(make_mocked_request("GET", path), as_jack)
    assert right == UsedRight("", "users", "impersonate", CLUSTER)
    [right] = needed_rights(make_mocked_request("GET", path), RUN)
    assert right.resource == "secrets"


def counted(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Return the counts by resource and verb."""
    [family] = [it for it in metrics.registry.collect() if f"{it.name}_total" == RIGHTS_USED.name]
    return {(it.labels["resource"], it.labels["verb"]): it.value for it in family.samples}


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_what_makes_an_object_needs_to_create_however_it_is_sent(method: str) -> None:
    metrics = Metrics()
    used = UsedRights(metrics)
    request = make_mocked_request(method, "/api/v1/namespaces/n/configmaps/a")
    used.count(request, RUN)
    used.count_creation(request, RUN)
    verb = {"PATCH": "patch", "PUT": "update"}[method]
    assert counted(metrics) == {("configmaps", verb): 1, ("configmaps", "create"): 1}


def test_a_post_is_counted_once() -> None:
    metrics = Metrics()
    used = UsedRights(metrics)
    request = make_mocked_request("POST", "/api/v1/namespaces/n/configmaps")
    used.count(request, RUN)
    used.count_creation(request, RUN)
    assert counted(metrics) == {("configmaps", "create"): 1}


def test_the_series_have_a_bound_beyond_which_all_others_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights, "MAX_RIGHTS", 2)
    metrics = Metrics()
    used = UsedRights(metrics)
    for plural in ("a", "b", "c", "d", "a"):
        used.count(make_mocked_request("GET", f"/api/v1/namespaces/n/{plural}/x"), RUN)
    assert counted(metrics) == {("a", "get"): 2, ("b", "get"): 1, ("", ""): 2}
