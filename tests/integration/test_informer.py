"""Reflector and cache against a real API server: nothing is missed, whatever happens to kinds, history, connections."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
from collections.abc import Iterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from reconcile_devcluster.binaries.programs import API_SERVER
from reconcile_devcluster.cluster import Cluster
from reconcile_runner.apimachinery.fieldpath import FieldPath
from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.cache.event import Event, EventType
from reconcile_runner.client import HttpClient, connect
from reconcile_runner.errors import GoneError
from tests.support.controlplane import compact, stop_api_server
from tests.support.watching import (
    Following,
    Kind,
    cached,
    following,
    in_parallel,
    make_namespace,
    pod,
    relayed,
    stored,
    until,
)

# asyncio leaves a connection that is cancelled in the first moment of its TLS handshake to the garbage collector (its
# SSLProtocol has no transport to close yet), as happens here when informers end while they open a watch.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*_SelectorTransport.__del__.*:pytest.PytestUnraisableExceptionWarning",
    "ignore:.*socket.socket fd=.*:pytest.PytestUnraisableExceptionWarning",
)

POD: Final = GroupVersionKind("", "v1", "Pod")
CONFIG_MAP: Final = GroupVersionKind("", "v1", "ConfigMap")
FRIENDS: Final = ("jack", "joe", "jill")


@pytest.fixture(autouse=True)
def _garbage_is_collected_here() -> Iterator[None]:
    """Keep what the note above speaks of from being found by a test that has nothing to do with it."""
    yield
    gc.collect()


def config_map(name: str) -> KubeObject:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "b"}}


async def test_custom_objects_and_pods_are_listed_and_watched(kubeconfig: Path) -> None:
    kind = Kind("Planet")
    async with await connect(kubeconfig) as client:
        await kind.install(client)
        await make_namespace(client, "planets")
        await client.create(kind.path("planets"), kind.object("earth"))
        async with following(kubeconfig, kind.gvk, POD) as followed:
            await followed.cache.wait_synced()
            assert followed.names(kind.gvk) == {"earth"}
            # The control plane may have Pods of others' tests.
            created = [event for event in followed.events if event.type is EventType.CREATED]
            assert all(event.is_initial for event in created)
            assert [name for event in created if (name := event.object["metadata"]["name"]) == "earth"] == ["earth"]
            followed.events.clear()
            await client.create(kind.path("planets"), kind.object("mars"))
            await client.create("/api/v1/namespaces/planets/pods", pod("rover"))
            await client.patch(kind.path("planets") + "/mars", {"spec": {"name": "joe"}})
            await client.delete(kind.path("planets") + "/mars")
            wanted = {("created", "mars"), ("updated", "mars"), ("deleted", "mars"), ("created", "rover")}
            await until(lambda: set(followed.told()) == wanted, "all changes were seen")
            planets, pods = followed.cache.required_informer(kind.gvk), followed.cache.required_informer(POD)
            assert planets is not None
            assert pods is not None
            earth, rover = planets.get(ObjectKey("planets", "earth")), pods.get(ObjectKey("planets", "rover"))
            assert earth is not None
            assert rover is not None
            assert (earth["kind"], rover["kind"], rover["apiVersion"]) == ("Planet", "Pod", "v1")
            assert rover["spec"]["containers"][0]["name"] == "main"
            assert "managedFields" not in rover["metadata"]
            assert b'"f:containers"' in (pods.managed_fields(ObjectKey("planets", "rover")) or b"")


async def test_metadata_alone_is_fetched_and_kept(kubeconfig: Path) -> None:
    async with await connect(kubeconfig) as client:
        await make_namespace(client, "partial")
        path = "/api/v1/namespaces/partial/configmaps"
        await client.create(path, config_map("listed"))
        async with following(kubeconfig, CONFIG_MAP, whole=False, namespaces=["partial"]) as followed:
            await followed.cache.wait_synced()
            await client.create(path, config_map("watched"))
            await until(lambda: followed.names(CONFIG_MAP) == {"listed", "watched"}, "both are there")
            for event in followed.events:
                assert event.object.keys() == {"apiVersion", "kind", "metadata"}
                assert event.object["kind"] == "ConfigMap"


async def test_several_namespaces_and_none_of_the_others(kubeconfig: Path) -> None:
    async with await connect(kubeconfig) as client:
        for namespace in ("one", "two", "three"):
            await make_namespace(client, namespace)
            await client.create(f"/api/v1/namespaces/{namespace}/configmaps", config_map(f"in-{namespace}"))
        async with following(kubeconfig, CONFIG_MAP, namespaces=["one", "two"]) as followed:
            await followed.cache.wait_synced()
            assert followed.names(CONFIG_MAP) == {"in-one", "in-two"}


async def test_a_list_of_many_pages_is_complete(kubeconfig: Path) -> None:
    async with await connect(kubeconfig) as client:
        await make_namespace(client, "many")
        path = "/api/v1/namespaces/many/configmaps"
        await in_parallel(client.create(path, config_map(f"item-{number}")) for number in range(1100))
        for whole in (True, False):
            async with following(kubeconfig, CONFIG_MAP, whole=whole, namespaces=["many"]) as followed:
                await followed.cache.wait_synced()
                kind = followed.cache.required_informer(CONFIG_MAP)
                assert kind is not None
                assert cached(kind) == await stored(client, path)
                assert len(followed.events) == 1100


async def test_a_kind_that_is_installed_removed_and_installed_with_another_scope(kubeconfig: Path) -> None:
    kind = Kind("Tide")
    async with following(kubeconfig, kind.gvk, namespaces=["default"]) as followed, await connect(kubeconfig) as client:
        assert not followed.cache.has_synced
        await kind.install(client)
        await followed.cache.wait_synced()
        await client.create(kind.path(), kind.object("low"))
        await until(lambda: followed.told() == [("created", "low")], "the first object was seen")
        await kind.remove(client)
        await until(lambda: followed.told()[1:] == [("deleted", "low")], "its deletion was seen")
        await kind.install(client, namespaced=False)
        await client.create(kind.path(""), kind.object("high"))
        await until(lambda: followed.names(kind.gvk) == {"high"}, "the object without a namespace was seen")


@pytest.mark.exhaustive
async def test_a_kind_that_changes_its_scope_in_an_instant(kubeconfig: Path) -> None:
    kind = Kind("Blink")
    async with following(kubeconfig, kind.gvk) as followed, await connect(kubeconfig) as client:
        await kind.install(client)
        await client.create(kind.path(), kind.object("before"))
        await until(lambda: followed.names(kind.gvk) == {"before"}, "the object before was seen")
        await kind.remove(client)
        await kind.install(client, namespaced=False)
        await client.create(kind.path(""), kind.object("after"))
        await until(lambda: followed.names(kind.gvk) == {"after"}, "only the object after is left")


@pytest.mark.exhaustive
async def test_a_thousand_random_edits_converge_while_connections_are_cut(kubeconfig: Path, tmp_path: Path) -> None:
    kind = Kind("Storm")
    chance = random.Random(3)  # noqa: S311 (a fixed seed, for a test)
    async with await connect(kubeconfig) as client, relayed(kubeconfig, tmp_path) as (relay, through):
        await kind.install(client)
        async with following(through, kind.gvk) as followed:
            await followed.cache.wait_synced()
            cache = followed.cache.required_informer(kind.gvk)
            assert cache is not None
            index = cache.index_by(FieldPath("spec.name"))
            friends: dict[str, str] = {}
            for edit in range(1000):
                await _edit(client, kind, friends, chance)
                if edit % 100 == 50:
                    relay.cut()
            final = await stored(client, kind.path())
            await until(lambda: cached(cache) == final, "the cache equals the API server's state")
            indexed = {(friend, key.name) for friend in FRIENDS for key in index.lookup(friend)}
            assert indexed == {(friend, name) for name, friend in friends.items()}
            assert_consistent(followed.events)


async def _edit(client: HttpClient, kind: Kind, friends: dict[str, str], chance: random.Random) -> None:
    """Create, change or delete one of 30 objects."""
    name, friend = f"item-{chance.randrange(30)}", chance.choice(FRIENDS)
    if name not in friends:
        await client.create(kind.path(), kind.object(name, friend))
    elif chance.random() < 0.3:
        await client.delete(f"{kind.path()}/{name}")
        del friends[name]
        return
    else:
        await client.patch(f"{kind.path()}/{name}", {"spec": {"name": friend}})
    friends[name] = friend


def assert_consistent(events: list[Event]) -> None:
    """Check that each object's story can be told: created, updated from its last state, deleted, created again."""
    alive: dict[str, KubeObject] = {}
    for event in events:
        name = event.object["metadata"]["name"]
        assert (name in alive) == (event.type is not EventType.CREATED), f"{event.type} of {name}"
        if event.type is EventType.UPDATED:
            assert event.old == alive[name]
        if event.type is EventType.DELETED:
            del alive[name]
        else:
            alive[name] = event.object


def kill_api_server(cluster: Cluster) -> None:
    """Kill it, because it would take its time to end while watches are open, and collect it."""
    os.kill(cluster.state.processes[API_SERVER].pid, signal.SIGKILL)
    stop_api_server(cluster)


def restart_and_forget_history(cluster: Cluster) -> None:
    kill_api_server(cluster)
    compact(cluster.directory)
    cluster.start_api_server()


@pytest.mark.exhaustive
async def test_history_that_is_gone_is_told_as_gone(own_cluster: Cluster) -> None:
    async with await connect(own_cluster.kubeconfig) as client:
        path = "/api/v1/namespaces/default/configmaps"
        for number in range(3):
            await client.create(path, config_map(f"item-{number}"))
        first = await client.get(path, {"limit": "1"})
        token = first["metadata"]["continue"]
        await client.create(path, config_map("one-more"))
        await asyncio.to_thread(restart_and_forget_history, own_cluster)
        with pytest.raises(GoneError):
            await client.get(path, {"limit": "1", "continue": token})
        with pytest.raises(GoneError):
            await client.get(path, {"resourceVersion": "999999999", "resourceVersionMatch": "NotOlderThan"})
        async with aclosing(client.watch(path, {"resourceVersion": "1"})) as events:
            with pytest.raises(GoneError):
                await anext(events)


async def test_a_future_place_in_history_is_silence(kubeconfig: Path) -> None:
    """What a restored etcd leaves behind: no error, no bookmark. `Reflector` lists again for that."""
    async with await connect(kubeconfig) as client:
        params = {"resourceVersion": "999999999", "allowWatchBookmarks": "true", "timeoutSeconds": "3"}
        events = client.watch("/api/v1/namespaces/default/configmaps", params)
        assert [event async for event in events] == []


@pytest.mark.exhaustive
async def test_what_happens_while_the_api_server_is_away_is_made_good(own_cluster: Cluster) -> None:
    kind = Kind("Survivor")
    async with (
        await connect(own_cluster.kubeconfig) as client,
        following(own_cluster.kubeconfig, CONFIG_MAP, kind.gvk, namespaces=["default"]) as followed,
    ):
        path = "/api/v1/namespaces/default/configmaps"
        await kind.install(client)
        await client.create(kind.path(), kind.object("kept"))
        for name in ("changed", "deleted", "replaced"):
            await client.create(path, config_map(name))
        everything = {"kept", "changed", "deleted", "replaced"}
        await until(lambda: {name for _, name in followed.told()} >= everything, "the objects were seen")
        await asyncio.to_thread(kill_api_server, own_cluster)
        await until(lambda: not followed.connected, "the outage was noticed")
        followed.events.clear()
        await asyncio.to_thread(compact, own_cluster.directory)
        await asyncio.to_thread(own_cluster.start_api_server)
        # Behind the informers' back or not: they are still pausing, or meet a server that forgot their place.
        await client.patch(f"{path}/changed", {"data": {"a": "changed"}})
        await client.delete(f"{path}/deleted")
        await client.delete(f"{path}/replaced")
        await client.create(path, config_map("replaced"))
        wanted = {("updated", "changed"), ("deleted", "deleted"), ("deleted", "replaced"), ("created", "replaced")}
        await until(partial(was_told, followed, wanted), "the gap was made good")
        await client.create(path, config_map("deleted"))
        await client.patch(f"{kind.path()}/kept", {"spec": {"name": "joe"}})
        await until(partial(was_told, followed, {("created", "deleted"), ("updated", "kept")}), "both watch again")
        assert ("deleted", "kept") not in followed.told(), "a server that starts is no proof that a kind is gone"


def was_told(followed: Following, wanted: set[tuple[str, str]]) -> bool:
    return set(followed.told()) >= wanted


async def test_a_missing_right_is_waited_for(cluster: Cluster) -> None:
    kubeconfig = cluster.create_user("informer-without-rights")
    async with following(kubeconfig, CONFIG_MAP) as followed:
        await asyncio.sleep(0)
        assert not followed.cache.has_synced
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "informer-without-rights"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "informer-without-rights"}],
        }
        cluster.api.call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
        async with asyncio.timeout(30):
            await followed.cache.wait_synced()
