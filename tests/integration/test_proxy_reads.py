"""Reads from the cache, compared with the API server's own answers; what must not come from it; a run's own writes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.client import ACCEPT_JSON, ACCEPT_PARTIAL, ACCEPT_PARTIAL_LIST
from reconcile_runner.errors import ConflictError
from reconcile_runner.proxy import Owner
from tests.support.proxying import CONFIG_MAPS, Answer, Proxied, Run, proxied
from tests.support.watching import Kind, until

pytestmark = pytest.mark.timeout(120)

READ = Kind("Read")
CONFIG_MAP, SECRET = GroupVersionKind("", "v1", "ConfigMap"), GroupVersionKind("", "v1", "Secret")
MAPS = CONFIG_MAPS.format("default")
OWNER = Owner(READ.gvk, ObjectKey("default", "owner"), "no-such-uid")
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@asynccontextmanager
async def reading(
    kubeconfig: Path, whole: GroupVersionKind | None = None, partial: GroupVersionKind | None = None
) -> AsyncIterator[tuple[Proxied, Run]]:
    """Run a proxy that has kinds in its cache; nothing is marked, so that nothing else is watched."""
    async with proxied(kubeconfig) as first:
        with contextlib.suppress(ConflictError):
            await READ.install(first.client)
    settings: dict[str, Any] = {"whole": [whole] if whole else [], "partial": [partial] if partial else []}
    async with proxied(kubeconfig, injects=False, **settings) as operating:
        with operating.run_for(OWNER) as run:
            yield operating, run


async def seen(operating: Proxied, gvk: GroupVersionKind, obj: KubeObject) -> None:
    kind = operating.cache.required_informer(gvk)
    assert kind is not None
    await until(lambda: kind.has_seen(obj["metadata"]["resourceVersion"]), "the cache shows it")


async def create(operating: Proxied, name: str, **labels: str) -> KubeObject:
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"a": "1"}}
    return await operating.client.create(MAPS, obj)


async def both(run: Run, path: str, params: Mapping[str, str], accept: str = ACCEPT_JSON) -> tuple[Answer, Answer]:
    """Ask the cache and, past it, the API server."""
    headers = {"Accept": accept}
    cached = await run.call("GET", path, params=params, headers=headers)
    direct = await run.call("GET", path, params=params, headers={**headers, "Cache-Control": "no-cache"})
    assert not direct.is_from_cache
    return cached, direct


async def remove_config_maps(operating: Proxied) -> None:
    """Remove what other tests left in the cluster: a long list is not answered from the cache."""
    everywhere = await operating.client.get("/api/v1/configmaps")
    for namespace in {item["metadata"]["namespace"] for item in everywhere["items"]}:
        await operating.client.delete(CONFIG_MAPS.format(namespace))


QUERIES = [
    {},
    {"labelSelector": "app=web"},
    {"labelSelector": "app==web,tier!=db"},
    {"labelSelector": "tier in (db, front),!missing"},
    {"labelSelector": "app,tier notin (db)"},
    {"labelSelector": "app=web, tier"},
    {"fieldSelector": "metadata.name=reads-b"},
    {"fieldSelector": "metadata.name==reads-b,metadata.namespace=default"},
    {"fieldSelector": "metadata.namespace=elsewhere"},
    {"fieldSelector": "metadata.name=none"},
    {"fieldSelector": "metadata.name=reads-b", "labelSelector": "app=none"},
    {"resourceVersion": "0"},
    {"limit": "500"},
    {"watch": "false", "labelSelector": ""},
]


@pytest.mark.parametrize("accept", [ACCEPT_JSON, ACCEPT_PARTIAL_LIST], ids=["whole", "partial"])
@pytest.mark.parametrize("scope", [MAPS, "/api/v1/configmaps"], ids=["namespace", "all"])
async def test_a_cached_list_is_the_api_servers(kubeconfig: Path, scope: str, accept: str) -> None:
    async with reading(kubeconfig, CONFIG_MAP) as (operating, run):
        await remove_config_maps(operating)
        for name, labels in (("a", {"app": "web", "tier": "db"}), ("b", {"app": "web", "tier": "front"}), ("c", {})):
            with contextlib.suppress(ConflictError):
                await create(operating, f"reads-{name}", **labels)
        await seen(operating, CONFIG_MAP, await create(operating, f"last-{hash((scope, accept)) % 1000}"))
        for query in QUERIES:
            cached, direct = await both(run, scope, query, accept)
            assert cached.is_from_cache, query
            assert cached.body["metadata"]["resourceVersion"].isdigit()
            cached.body["metadata"].pop("resourceVersion")
            direct.body["metadata"].pop("resourceVersion")
            assert cached.body == direct.body, query
        counted = partial(operating.metrics.registry.get_sample_value, "reconcile_runner_proxy_requests_total")
        assert counted({"answer": "cache"}) == counted({"answer": "api_server"}) == len(QUERIES)


@pytest.mark.parametrize("gvk", [CONFIG_MAP, READ.gvk], ids=["built-in", "custom"])
async def test_a_cached_object_and_list_of_each_sort_of_kind_are_the_api_servers(
    kubeconfig: Path, gvk: GroupVersionKind
) -> None:
    async with reading(kubeconfig, gvk) as (operating, run):
        path = MAPS if gvk is CONFIG_MAP else READ.path()
        created = await operating.client.create(
            path,
            {
                "apiVersion": gvk.api_version,
                "kind": gvk.kind,
                "metadata": {"generateName": "x-", "annotations": {"a": "b"}},
            },
        )
        await seen(operating, gvk, created)
        name = created["metadata"]["name"]
        targets = [f"{path}/{name}", path]
        if gvk is READ.gvk:
            targets.append(f"{path}/{name}/status")
        for target in targets:
            for accept in (ACCEPT_JSON, ACCEPT_PARTIAL if target is not path else ACCEPT_PARTIAL_LIST):
                cached, direct = await both(run, target, {}, accept)
                assert cached.is_from_cache, target
                direct.body["metadata"].pop("resourceVersion")
                cached.body["metadata"].pop("resourceVersion")
                assert cached.body == direct.body


NOT_FROM_THE_CACHE = [
    (MAPS, {"labelSelector": "a>1"}, ACCEPT_JSON),
    (MAPS, {"labelSelector": "a in b"}, ACCEPT_JSON),
    (MAPS, {"fieldSelector": "metadata.name!=a"}, ACCEPT_JSON),
    (MAPS, {"fieldSelector": "type=Opaque"}, ACCEPT_JSON),
    (MAPS, {"limit": "1"}, ACCEPT_JSON),
    (MAPS, {"resourceVersion": "1", "resourceVersionMatch": "Exact"}, ACCEPT_JSON),
    (MAPS, {"resourceVersion": "99999999"}, ACCEPT_JSON),
    (MAPS, {"sendInitialEvents": "true"}, ACCEPT_JSON),
    (MAPS, {"pretty": "true"}, ACCEPT_JSON),
    (MAPS, {}, TABLE),
    (MAPS, {}, "application/yaml"),
    (MAPS, {}, "application/vnd.kubernetes.protobuf"),
    (f"{MAPS}/no-such-map", {}, ACCEPT_JSON),
    ("/api/v1/namespaces/default/secrets", {}, ACCEPT_JSON),
    ("/api/v1/namespaces/default", {}, ACCEPT_JSON),
    ("/api/v1", {}, ACCEPT_JSON),
    ("/version", {}, ACCEPT_JSON),
]


@pytest.mark.parametrize(("path", "query", "accept"), NOT_FROM_THE_CACHE, ids=str)
async def test_what_the_cache_cannot_answer_exactly_is_the_api_servers_to_answer(
    kubeconfig: Path, path: str, query: dict[str, str], accept: str
) -> None:
    async with reading(kubeconfig, CONFIG_MAP) as (operating, run):
        await seen(operating, CONFIG_MAP, await operating.client.create(MAPS, {"metadata": {"generateName": "x-"}}))
        through = await run.call("GET", path, params=query, headers={"Accept": accept})
        async with asyncio.timeout(20):
            upstream = await operating.client.forward("GET", _with_query(path, query), {"Accept": accept}, None)
            assert through.status == upstream.status
            assert through.headers["Content-Type"] == upstream.headers["Content-Type"]
            upstream.close()
        assert not through.is_from_cache


def _with_query(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path


async def test_metadata_alone_answers_no_request_for_whole_objects(kubeconfig: Path) -> None:
    async with reading(kubeconfig, partial=CONFIG_MAP) as (operating, run):
        created = await operating.client.create(MAPS, {"metadata": {"generateName": "x-"}})
        await seen(operating, CONFIG_MAP, created)
        path = f"{MAPS}/{created['metadata']['name']}"
        for target, accept in ((path, ACCEPT_PARTIAL), (MAPS, ACCEPT_PARTIAL_LIST)):
            cached, direct = await both(run, target, {}, accept)
            assert cached.is_from_cache
            cached.body["metadata"].pop("resourceVersion")
            direct.body["metadata"].pop("resourceVersion")
            assert cached.body == direct.body
            assert not (await run.get(target)).is_from_cache


async def test_a_watch_goes_on_from_a_cached_lists_resource_version(kubeconfig: Path) -> None:
    async with reading(kubeconfig, CONFIG_MAP) as (operating, run):
        listed = await run.get(MAPS)
        assert listed.is_from_cache
        created = await operating.client.create(MAPS, {"metadata": {"generateName": "x-"}})
        version = listed.body["metadata"]["resourceVersion"]
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "10"}
        headers = {"Authorization": f"Bearer {run.token}"}
        async with run.session.get(f"{run.url}{MAPS}", params=query, headers=headers) as stream:
            line = await stream.content.readline()
        assert created["metadata"]["name"].encode() in line


async def test_secrets_are_read_one_by_one_without_anything_being_watched(kubeconfig: Path) -> None:
    async with reading(kubeconfig) as (operating, run):
        path = "/api/v1/namespaces/default/secrets"
        made = await operating.client.create(path, {"metadata": {"generateName": "x-"}, "stringData": {"a": "b"}})
        answer = await run.get(f"{path}/{made['metadata']['name']}")
        assert (answer.status, answer.is_from_cache) == (200, False)
        assert not operating.cache._optional
        assert not operating.cache._required


async def test_a_run_reads_its_own_writes_and_another_may_still_read_from_the_cache(kubeconfig: Path) -> None:
    async with reading(kubeconfig, CONFIG_MAP) as (operating, run):
        kind = operating.cache.required_informer(CONFIG_MAP)
        assert kind is not None
        for number in range(30):
            name = f"own-{number}"
            await run.post(MAPS, {"metadata": {"name": name}, "data": {"n": "0"}})
            assert name in {item["metadata"]["name"] for item in (await run.get(MAPS)).body["items"]}
            await run.merge(f"{MAPS}/{name}", {"data": {"n": str(number)}})
            assert (await run.get(f"{MAPS}/{name}")).body["data"]["n"] == str(number)
            await run.apply(f"{MAPS}/{name}", {"apiVersion": "v1", "kind": "ConfigMap", "data": {"m": "1"}})
            assert (await run.get(f"{MAPS}/{name}")).body["data"]["m"] == "1"
            await run.call("DELETE", f"{MAPS}/{name}")
            assert (await run.get(f"{MAPS}/{name}")).status == 404
            assert name not in {item["metadata"]["name"] for item in (await run.get(MAPS)).body["items"]}

        async def is_cached_again() -> bool:
            return (await run.get(MAPS)).is_from_cache

        await until(is_cached_again, "the cache shows all that the run wrote")


async def test_a_collection_that_a_run_deleted_is_read_from_the_api_server_until_the_run_ends(kubeconfig: Path) -> None:
    async with reading(kubeconfig, CONFIG_MAP) as (operating, run):
        await operating.client.create(MAPS, {"metadata": {"name": "many", "labels": {"a": "many"}}})
        assert (await run.call("DELETE", MAPS, params={"labelSelector": "a=many"})).status == 200
        assert not (await run.get(MAPS)).is_from_cache
        with operating.run_for(OWNER) as other:
            assert (await other.get(MAPS)).is_from_cache
