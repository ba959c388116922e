"""A thousand runs at a time, each for another object: not one wrong owner (upstream's plugins#136), all reconciled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.proxy import Owner
from reconcile_runner.watches.watch import Watch
from tests.support.proxying import CONFIG_MAPS, Proxied, owner_of, proxied
from tests.support.queues import depth
from tests.support.watching import Kind, until

pytestmark = pytest.mark.timeout(300)

RUNS = 1000
LOADED = Kind("Loaded")
MAPS, ELSEWHERE = CONFIG_MAPS.format("default"), CONFIG_MAPS.format("load-elsewhere")
CONFIG_MAP = GroupVersionKind("", "v1", "ConfigMap")


def config_map(name: str) -> KubeObject:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}}


async def run_of(operating: Proxied, owner: Owner, ready: asyncio.Barrier) -> None:
    """Do what a role does: create, apply, read, create in another namespace."""
    name = owner.key.name
    with operating.run_for(owner) as run:
        await ready.wait()
        assert (await run.post(MAPS, config_map(name))).status == 201
        assert (await run.apply(f"{MAPS}/{name}-applied", config_map(f"{name}-applied"))).status == 201
        assert (await run.get(f"{MAPS}/{name}")).body["metadata"]["ownerReferences"][0]["uid"] == owner.uid
        assert (await run.post(ELSEWHERE, config_map(name))).status == 201


@pytest.mark.exhaustive
async def test_a_thousand_concurrent_runs_get_their_own_owners(kubeconfig: Path) -> None:
    async with proxied(kubeconfig) as before:
        await LOADED.install(before.client)
        await before.client.create("/api/v1/namespaces", {"metadata": {"name": "load-elsewhere"}})
        limit = asyncio.Semaphore(50)

        async def create(number: int) -> Owner:
            async with limit:
                return owner_of(await before.client.create(LOADED.path(), LOADED.object(f"load-{number}")))

        owners = await asyncio.gather(*(create(number) for number in range(RUNS)))
    async with proxied(kubeconfig, Watch(LOADED.gvk)) as operating:
        ready = asyncio.Barrier(RUNS)
        async with asyncio.TaskGroup() as runs:
            for owner in owners:
                runs.create_task(run_of(operating, owner, ready), name=f"run for {owner.key}")
        stored = {}
        for item in (await operating.client.get("/api/v1/configmaps"))["items"]:
            meta = item["metadata"]
            stored[meta["namespace"], meta["name"]] = meta
        for owner in owners:
            name = owner.key.name
            for own in (name, f"{name}-applied"):
                references = stored["default", own]["ownerReferences"]
                assert [(it["name"], it["uid"]) for it in references] == [(name, owner.uid)]
            far = stored["load-elsewhere", name]
            assert far["annotations"]["operator-sdk/primary-resource"] == f"default/{name}"
            assert "ownerReferences" not in far
        await every_owner_hears_of_its_dependent(operating, [owner.key for owner in owners])


async def every_owner_hears_of_its_dependent(operating: Proxied, keys: list[ObjectKey]) -> None:
    await operating.synced(CONFIG_MAP)
    queue = operating.queues[LOADED.gvk]
    await operating.drain(LOADED.gvk)
    for path in (MAPS, ELSEWHERE):
        await operating.client.delete(path, params={"labelSelector": "!app"})
        await until(lambda: depth(queue) >= RUNS, f"all owners hear of deletions in {path}")
        assert await operating.drain(LOADED.gvk) == set(keys)
