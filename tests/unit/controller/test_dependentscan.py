from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject
from reconcile_runner.cache.informer import Informer
from reconcile_runner.client import ACCEPT_PARTIAL_LIST
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.controller.dependents import Dependents
from reconcile_runner.controller.dependentscan import scan_for_dependents
from reconcile_runner.controller.workqueue import WorkQueue
from reconcile_runner.errors import ApiError, ApiUnreachableError, ForbiddenError, GoneError
from reconcile_runner.metrics import Metrics
from reconcile_runner.watches.watch import Watch
from tests.support.fakes.cache import StillCache
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import FakeClock, settle

FOO = GroupVersionKind("example.com", "v1", "Foo")
MAP, SECRET, POD = (GroupVersionKind("", "v1", kind) for kind in ("ConfigMap", "Secret", "Pod"))
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
ALL_RIGHTS = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
OWNED = {"ownerReferences": [{"apiVersion": "example.com/v1", "kind": "Foo", "name": "a", "uid": "u"}]}


class ReviewingClient(FakeClient):
    """An API server that says what the operator may do."""

    def __init__(self, rules: list[KubeObject], *, incomplete: bool = False) -> None:
        super().__init__()
        self.rules = rules
        self.incomplete = incomplete
        self.reviewed: list[str] = []

    async def create(self, path: str, body: Any, *, params: Any = None) -> KubeObject:
        assert path == REVIEWS
        self.reviewed.append(body["spec"]["namespace"])
        return {"status": {"resourceRules": self.rules, "incomplete": self.incomplete}}


class Bench:
    def __init__(self, *rules: KubeObject, incomplete: bool = False, namespaces: tuple[str, ...] = ()) -> None:
        self.client = ReviewingClient(list(rules) or [ALL_RIGHTS], incomplete=incomplete)
        self.clock = FakeClock()
        verbs = ["get", "list", "watch", "create"]
        names = (("configmaps", "ConfigMap"), ("secrets", "Secret"), ("pods", "Pod"), ("events", "Event"))
        resources = [{"name": name, "kind": kind, "namespaced": True, "verbs": verbs} for name, kind in names]
        resources.append({"name": "bindings", "kind": "Binding", "namespaced": True, "verbs": ["create"]})
        self.client.answer("/apis", {"groups": []})
        self.client.answer("/api/v1", {"resources": resources})
        for name, _ in names:
            self.client.answer(f"/api/v1/{name}", {"metadata": {}, "items": []})
        self.cache = StillCache()
        dependents = Dependents(self.cache, Metrics())
        queue = WorkQueue("foo", self.clock, Metrics())
        dependents.add_watch(Watch(FOO), Informer(FOO, metadata_only=False), queue)
        discovery = Discovery(self.client, self.clock)
        self.scan = partial(scan_for_dependents, self.client, discovery, dependents, self.clock, namespaces)

    def listed(self) -> list[str]:
        return [call.path for call in self.client.calls if call.accept == ACCEPT_PARTIAL_LIST]


def page(*metas: KubeObject, token: str = "") -> KubeObject:
    return {"metadata": {"continue": token}, "items": [{"metadata": meta} for meta in metas]}


def rule(verbs: str, *resources: str, **more: Any) -> KubeObject:
    return {"verbs": verbs.split(), "apiGroups": [""], "resources": list(resources), **more}


async def test_kinds_with_dependents_are_followed_and_others_are_not() -> None:
    b = Bench()
    b.client.answer("/api/v1/secrets", page({"name": "x"}, {"name": "y", **OWNED}))
    await b.scan()
    assert list(b.cache.optional) == [SECRET]
    assert b.listed() == ["/api/v1/configmaps", "/api/v1/secrets", "/api/v1/pods"]


async def test_pages_are_read_until_a_dependent_is_found() -> None:
    b = Bench()
    b.client.answer("/api/v1/pods", page({"name": "x"}, token="t1"), page(OWNED, token="t2"), page({"name": "z"}))
    await b.scan()
    assert list(b.cache.optional) == [POD]
    params = [call.params for call in b.client.calls_of("GET", "/api/v1/pods")]
    assert params == [{"limit": "500"}, {"limit": "500", "continue": "t1"}]


@pytest.mark.parametrize(
    ("rules", "listed"),
    [
        ([rule("list create", "pods")], ["/api/v1/pods"]),
        ([rule("list", "pods"), rule("patch", "*")], ["/api/v1/pods"]),
        ([rule("list watch", "pods", "secrets")], []),
        ([rule("create", "pods", "secrets")], []),
        ([rule("*", "secrets", resourceNames=["one"])], []),
        ([{**rule("*", "pods"), "apiGroups": ["apps"]}], []),
    ],
    ids=["create", "patch", "only read", "only written", "one by name", "another group"],
)
async def test_only_what_the_operator_can_have_made_and_may_list_is_asked_for(
    rules: list[KubeObject], listed: list[str]
) -> None:
    b = Bench(*rules)
    await b.scan()
    assert b.listed() == listed


async def test_where_the_rights_cannot_be_told_everything_is_tried() -> None:
    b = Bench(rule("get", "nothing"), incomplete=True)
    b.client.answer("/api/v1/secrets", ForbiddenError(403, "Forbidden", "no"))
    b.client.answer("/api/v1/pods", page(OWNED))
    await b.scan()
    assert list(b.cache.optional) == [POD]
    assert len(b.listed()) == 3


async def test_each_watched_namespace_is_looked_at() -> None:
    b = Bench(rule("list create", "pods"), namespaces=("one", "two"))
    b.client.answer("/api/v1/namespaces/one/pods", page())
    b.client.answer("/api/v1/namespaces/two/pods", page(OWNED))
    await b.scan()
    assert b.client.reviewed == ["one", "two"]
    assert b.listed() == ["/api/v1/namespaces/one/pods", "/api/v1/namespaces/two/pods"]
    assert list(b.cache.optional) == [POD]


@pytest.mark.parametrize(
    "error",
    [ApiUnreachableError("down"), GoneError(410, "Expired", "page is gone"), ApiError(500, "", "broken")],
    ids=["unreachable", "expired", "broken"],
)
async def test_what_fails_is_tried_again_and_what_was_seen_is_not(error: Exception) -> None:
    b = Bench()
    b.client.answer("/api/v1/secrets", error, error, page(OWNED))
    running = asyncio.create_task(b.scan(), name="scan")
    try:
        await settle(50)
        assert b.cache.optional == {}
        for _ in range(4):
            await b.clock.advance(5.0)
            await settle(50)
        assert running.done()
        assert list(b.cache.optional) == [SECRET]
        assert b.listed().count("/api/v1/configmaps") == 1
        assert b.listed().count("/api/v1/secrets") == 3
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
