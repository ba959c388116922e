from __future__ import annotations

import pytest

from reconcile_runner.proxy.requestinfo import RequestInfo, is_long_running, parse_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/v1/namespaces", RequestInfo("", "v1", "namespaces")),
        ("/api/v1/namespaces/a", RequestInfo("", "v1", "namespaces", name="a")),
        ("/api/v1/namespaces/a/status", RequestInfo("", "v1", "namespaces", name="a", subresource="status")),
        ("/api/v1/namespaces/a/finalize", RequestInfo("", "v1", "namespaces", name="a", subresource="finalize")),
        ("/api/v1/pods?watch=1", RequestInfo("", "v1", "pods")),
        ("/api/v1/namespaces/a/pods/", RequestInfo("", "v1", "pods", "a")),
        ("/api/v1/namespaces/a/pods/b", RequestInfo("", "v1", "pods", "a", "b")),
        ("/api/v1/namespaces/a/pods/b/log", RequestInfo("", "v1", "pods", "a", "b", "log")),
        ("/api/v1/namespaces/a/services/b/proxy/x/y", RequestInfo("", "v1", "services", "a", "b", "proxy/x/y")),
        ("/apis/g.io/v1/things/b", RequestInfo("g.io", "v1", "things", name="b")),
        ("/apis/g.io/v1/namespaces/a/things", RequestInfo("g.io", "v1", "things", "a")),
        ("/apis/g.io/v1/things/system%3Ab%2Fc", RequestInfo("g.io", "v1", "things", name="system:b/c")),
        ("/api/v1/nodes/n/status", RequestInfo("", "v1", "nodes", name="n", subresource="status")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_path_names_a_resource(path: str, expected: RequestInfo) -> None:
    assert parse_path(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/v1",
        "/apis",
        "/apis/g.io",
        "/apis/g.io/v1",
        "/version",
        "/openapi/v3/apis/apps/v1",
        "/healthz/x/y",
        "/api/v1/watch/pods",
        "/api/v1/proxy/namespaces/a/pods/b",
    ],
)
def test_any_other_path_names_none(path: str) -> None:
    assert parse_path(path) is None


@pytest.mark.parametrize(
    ("target", "is_long"),
    [
        ("/api/v1/pods", False),
        ("/api/v1/pods?watch=true&timeoutSeconds=5", True),
        ("/api/v1/watch/pods", True),
        ("/api/v1/namespaces/n/pods/p", False),
        ("/api/v1/namespaces/n/pods/p/log?follow=true", True),
        ("/api/v1/namespaces/n/pods/p/exec", True),
        ("/api/v1/namespaces/n/services/s/proxy/some/path", True),
        ("/api/v1/namespaces/n/pods/p/status", False),
        ("/apis", False),
        ("/version", False),
        ("/api/v1/pods?labelSelector=watch", False),
    ],
)
def test_what_kube_apiserver_ends_after_a_minute_is_known(target: str, is_long: bool) -> None:
    assert is_long_running(target) is is_long
