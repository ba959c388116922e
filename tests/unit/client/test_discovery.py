"""Discovery: kinds found, missing, coming, going and changing."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject
from reconcile_runner.client.discovery import Discovery, Resource
from reconcile_runner.errors import ApiError, ApiUnreachableError, ForbiddenError, KindNotFoundError
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import FakeClock, settle

FOO = GroupVersionKind("example.com", "v1", "Foo")
POD = GroupVersionKind("", "v1", "Pod")
FOOS = Resource(FOO, "foos", namespaced=True, subresources=frozenset({"status"}), verbs=frozenset({"list", "watch"}))


def resource_list(*entries: KubeObject) -> KubeObject:
    return {"kind": "APIResourceList", "resources": list(entries)}


def foos(*, namespaced: bool = True) -> list[KubeObject]:
    return [
        {"name": "foos", "kind": "Foo", "namespaced": namespaced, "verbs": ["list", "watch"]},
        {"name": "foos/status", "kind": "Foo", "namespaced": namespaced, "verbs": ["get", "patch"]},
    ]


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def discovery(client: FakeClient, clock: FakeClock) -> Discovery:
    return Discovery(client, clock)


async def test_a_kind_is_found_with_its_subresources_scope_and_verbs(client: FakeClient, discovery: Discovery) -> None:
    client.answer("/apis/example.com/v1", resource_list(*foos()))
    assert await discovery.resource(FOO) == FOOS


async def test_a_known_kind_is_not_asked_for_again(client: FakeClient, discovery: Discovery) -> None:
    client.answer("/apis/example.com/v1", resource_list(*foos()))
    assert discovery.known(FOO) is None
    await discovery.resource(FOO)
    await discovery.resource(FOO)
    assert len(client.calls) == 1
    assert discovery.known(FOO) == FOOS


async def test_the_core_group_has_a_root_of_its_own(client: FakeClient, discovery: Discovery) -> None:
    entry = {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": []}
    client.answer("/api/v1", resource_list(entry, {**entry, "name": "pods/eviction", "kind": "Eviction"}))
    assert (await discovery.resource(POD)).path("default", "a") == "/api/v1/namespaces/default/pods/a"
    with pytest.raises(KindNotFoundError):
        await discovery.resource(GroupVersionKind("", "v1", "Eviction"))


@pytest.mark.parametrize(
    ("resource", "arguments", "path"),
    [
        (FOOS, {}, "/apis/example.com/v1/foos"),
        (FOOS, {"namespace": "a"}, "/apis/example.com/v1/namespaces/a/foos"),
        (FOOS, {"namespace": "a", "name": "b"}, "/apis/example.com/v1/namespaces/a/foos/b"),
        (
            FOOS,
            {"namespace": "a", "name": "b", "subresource": "status"},
            "/apis/example.com/v1/namespaces/a/foos/b/status",
        ),
        (Resource(FOO, "foos", namespaced=False), {"namespace": "a", "name": "b"}, "/apis/example.com/v1/foos/b"),
        (Resource(FOO, "foos", namespaced=False), {"name": "system:a/b"}, "/apis/example.com/v1/foos/system%3Aa%2Fb"),
    ],
    ids=["all namespaces", "one namespace", "object", "subresource", "cluster-scoped", "escaped"],
)
def test_paths(resource: Resource, arguments: dict[str, str], path: str) -> None:
    assert resource.path(**arguments) == path


async def test_an_unknown_group_is_a_kind_that_is_not_found(discovery: Discovery) -> None:
    with pytest.raises(KindNotFoundError, match=r"knows no Foo in example\.com/v1"):
        await discovery.resource(FOO)


async def test_a_miss_is_asked_for_every_time(client: FakeClient, discovery: Discovery) -> None:
    client.answer("/apis/example.com/v1", resource_list(), resource_list(*foos()))
    with pytest.raises(KindNotFoundError):
        await discovery.resource(FOO)
    assert await discovery.resource(FOO) == FOOS


async def test_a_refresh_sees_a_kind_that_changed_its_scope_and_one_that_is_gone(
    client: FakeClient, discovery: Discovery
) -> None:
    client.answer(
        "/apis/example.com/v1", resource_list(*foos()), resource_list(*foos(namespaced=False)), resource_list()
    )
    await discovery.resource(FOO)
    with capture_logs() as logs:
        assert (await discovery.refresh(FOO)).namespaced is False
        with pytest.raises(KindNotFoundError):
            await discovery.refresh(FOO)
    assert discovery.known(FOO) is None
    assert [line["event"] for line in logs] == ["kind changed", "kind was removed"]


async def test_waiting_for_a_missing_kind_looks_every_2_s_and_says_so_once_a_minute(
    client: FakeClient, clock: FakeClock, discovery: Discovery
) -> None:
    with capture_logs() as logs:
        waiting = asyncio.create_task(discovery.wait_for(FOO), name="waiting")
        await clock.advance(119.0)
        assert len(client.calls) == 60
        assert [line["event"] for line in logs] == ["kind is missing, waiting for its CRD"] * 2
        client.answer("/apis/example.com/v1", resource_list(*foos()))
        await clock.advance(2.0)
        assert await waiting == FOOS
    assert logs[-1]["event"] == "kind is available"


async def test_waiting_survives_an_unreachable_server_without_a_line_of_its_own(
    client: FakeClient, clock: FakeClock, discovery: Discovery
) -> None:
    client.answer("/apis/example.com/v1", ApiUnreachableError("refused"))
    with capture_logs() as logs:
        waiting = asyncio.create_task(discovery.wait_for(FOO), name="waiting")
        await clock.advance(600.0)
        assert len(client.calls) <= 600 / 30 + 7
        client.answer("/apis/example.com/v1", resource_list(*foos()))
        await clock.advance(60.0)
        assert await waiting == FOOS
    assert logs == []


async def test_waiting_obeys_retry_after_and_names_what_is_refused(
    client: FakeClient, clock: FakeClock, discovery: Discovery
) -> None:
    client.answer(
        "/apis/example.com/v1",
        ApiError(429, "TooManyRequests", "slow down", 20.0),
        ForbiddenError(403, "Forbidden", "no right"),
        resource_list(*foos()),
    )
    with capture_logs() as logs:
        waiting = asyncio.create_task(discovery.wait_for(FOO), name="waiting")
        await clock.advance(19.9)
        assert len(client.calls) == 1
        await clock.advance(60.0)
        assert await waiting == FOOS
    assert [line.get("error") for line in logs] == ["slow down", "no right", None]


async def test_run_looks_at_the_kinds_in_use_every_30_s(
    client: FakeClient, clock: FakeClock, discovery: Discovery
) -> None:
    client.answer("/apis/example.com/v1", resource_list(*foos()), ApiUnreachableError("refused"), resource_list())
    await discovery.resource(FOO)
    running = asyncio.create_task(discovery.run(), name="discovery")
    await clock.advance(30.0)
    assert discovery.known(FOO) == FOOS, "an outage says nothing about the kind"
    await clock.advance(30.0)
    assert discovery.known(FOO) is None
    assert len(client.calls) == 3
    running.cancel()
    await settle()


async def test_a_path_names_a_kind_that_is_asked_for_once(client: FakeClient, discovery: Discovery) -> None:
    client.answer("/apis/example.com/v1", resource_list(*foos()))
    asked = [discovery.resource_of_plural("example.com", "v1", "foos") for _ in range(100)]
    assert discovery.known_plural("example.com", "v1", "foos") is None
    assert set(await asyncio.gather(*asked)) == {FOOS}
    assert len(client.calls) == 1
    assert discovery.known_plural("example.com", "v1", "foos") == FOOS


async def test_a_path_may_name_no_kind(client: FakeClient, discovery: Discovery) -> None:
    client.answer("/apis/example.com/v1", resource_list(*foos()))
    assert await discovery.resource_of_plural("example.com", "v1", "bars") is None
    assert await discovery.resource_of_plural("nowhere", "v1", "bars") is None


async def test_a_kind_that_is_gone_is_named_by_no_path(client: FakeClient, discovery: Discovery) -> None:
    client.answer("/apis/example.com/v1", resource_list(*foos()), resource_list())
    await discovery.resource(FOO)
    with pytest.raises(KindNotFoundError):
        await discovery.refresh(FOO)
    assert discovery.known_plural("example.com", "v1", "foos") is None


async def test_all_that_is_served_is_found_in_preferred_versions_and_not_remembered(
    client: FakeClient, discovery: Discovery
) -> None:
    groups = [
        {"name": name, "preferredVersion": {"version": version}, "versions": [{"version": "v0"}, {"version": version}]}
        for name, version in (("example.com", "v1"), ("down.com", "v2"), ("unwanted.com", "v1"))
    ]
    client.answer("/apis", {"groups": groups})
    client.answer("/api/v1", resource_list({"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["get"]}))
    client.answer("/apis/example.com/v1", resource_list(*foos()))
    client.answer("/apis/down.com/v2", ApiError(503, "", "down"))
    found = await discovery.preferred(lambda group: group != "unwanted.com")
    assert [resource.gvk for resource in found] == [POD, FOO]
    assert not client.calls_of("GET", "/apis/unwanted.com/v1")
    assert discovery.known(FOO) is None


@pytest.fixture
def tagged() -> FakeClient:
    client = FakeClient()
    client.answer("/api", {"kinds": 1})
    client.answer("/apis", {"kinds": 1})
    return client


async def test_the_etag_is_the_same_while_nothing_changes(tagged: FakeClient) -> None:
    discovery = Discovery(tagged, FakeClock())
    first = await discovery.etag()
    assert first
    assert await discovery.etag() == first


@pytest.mark.parametrize("path", ["/api", "/apis"])
async def test_any_change_makes_another_etag(tagged: FakeClient, path: str) -> None:
    discovery = Discovery(tagged, FakeClock())
    first = await discovery.etag()
    tagged.answer(path, {"kinds": 2})
    second = await discovery.etag()
    assert second
    assert second != first


@pytest.mark.parametrize("path", ["/api", "/apis"])
async def test_a_server_without_etags_gives_an_empty_one(tagged: FakeClient, path: str) -> None:
    tagged.answer(path)
    assert await Discovery(tagged, FakeClock()).etag() == ""


@pytest.mark.parametrize(
    "error", [ApiError(403, "Forbidden", "no"), ApiUnreachableError("away")], ids=["refused", "unreachable"]
)
async def test_a_server_that_does_not_give_its_etag_is_no_error(tagged: FakeClient, error: Exception) -> None:
    discovery = Discovery(tagged, FakeClock())
    first = await discovery.etag()
    tagged.answer("/apis", error)
    assert await discovery.etag() == ""
    tagged.answer("/apis", {"kinds": 1})
    assert await discovery.etag() == first
