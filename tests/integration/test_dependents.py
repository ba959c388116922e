"""Dependents on a real API server: found by writes, reads and after a restart; what happens to them comes through."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.client import HttpClient
from reconcile_runner.proxy import Owner
from reconcile_runner.watches.watch import Watch
from tests.support.proxying import CONFIG_MAPS, Proxied, owner_of, proxied
from tests.support.watching import Kind, until

pytestmark = pytest.mark.timeout(120)

MAPS, SERVICES = CONFIG_MAPS.format("default"), "/api/v1/namespaces/default/services"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
CONFIG_MAP, SERVICE = GroupVersionKind("", "v1", "ConfigMap"), GroupVersionKind("", "v1", "Service")
DEPLOYMENT = GroupVersionKind("apps", "v1", "Deployment")
_numbers = itertools.count()


def kind_of_its_own() -> Kind:
    """Return a kind that no other test has objects of, so that restarts find only what the test left."""
    return Kind(f"Owner{next(_numbers)}")


async def an_owner(client: HttpClient, kind: Kind, name: str = "owner") -> Owner:
    return owner_of(await client.create(kind.path(), kind.object(name)))


async def installed(kubeconfig: Path, kind: Kind) -> None:
    async with proxied(kubeconfig) as operating:
        await kind.install(operating.client)


def config_map(name: str) -> KubeObject:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "1"}}


def service(name: str) -> KubeObject:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}


def deployment(name: str, **meta: object) -> KubeObject:
    labels = {"app": name}
    container = {"name": "c", "image": "none"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, **meta},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }


async def test_the_first_dependent_of_a_kind_that_a_trigger_watches_is_not_taken_for_deleted(kubeconfig: Path) -> None:
    kind = kind_of_its_own()
    await installed(kubeconfig, kind)
    async with proxied(kubeconfig, Watch(kind.gvk), whole=[CONFIG_MAP]) as operating:
        owner = await an_owner(operating.client, kind)
        await until(lambda: operating.cache.required_informer(kind.gvk).get(owner.key), "the owner is cached")  # type: ignore[union-attr]
        name = f"{kind.plural}-first"
        with capture_logs() as lines, operating.run_for(owner) as run:
            await run.post(MAPS, config_map(name))
            await until(lambda: _cached(operating, CONFIG_MAP, name), "it is in the cache")
        assert [line for line in lines if line["event"] == "dependent issued an event"] == []
        assert await operating.drain(kind.gvk) == set()
        await operating.client.delete(f"{MAPS}/{name}")
        assert await operating.wanted(kind.gvk) == {owner.key}


async def test_a_deleted_or_changed_dependent_reconciles_its_owner_and_its_creation_does_not(kubeconfig: Path) -> None:
    kind = kind_of_its_own()
    await installed(kubeconfig, kind)
    async with proxied(kubeconfig, Watch(kind.gvk)) as operating:
        owner = await an_owner(operating.client, kind)
        await until(lambda: operating.cache.required_informer(kind.gvk).get(owner.key), "the owner is cached")  # type: ignore[union-attr]
        name = f"{kind.plural}-map"
        with operating.run_for(owner) as run:
            await run.post(MAPS, config_map(name))
            # What is created while the kind is listed for the first time is looked at once more: not meant here.
            await operating.synced(CONFIG_MAP)
            await until(lambda: _cached(operating, CONFIG_MAP, name), "the first is in the cache")
            await operating.drain(kind.gvk)
            await run.post(MAPS, config_map(f"{name}-2"))
        await until(lambda: _cached(operating, CONFIG_MAP, f"{name}-2"), "both are in the cache")
        assert await operating.drain(kind.gvk) == set()
        await operating.client.patch(f"{MAPS}/{name}", {"data": {"a": "2"}})
        assert await operating.wanted(kind.gvk) == {owner.key}
        await operating.client.delete(f"{MAPS}/{name}")
        assert await operating.wanted(kind.gvk) == {owner.key}


def _cached(operating: Proxied, gvk: GroupVersionKind, name: str) -> KubeObject | None:
    view = operating.cache.view(gvk, "default", whole=False)
    return view.informer.get(ObjectKey("default", name)) if view is not None else None


@pytest.mark.parametrize(
    ("path", "gvk", "make", "spec", "whole"),
    [
        (DEPLOYMENTS, DEPLOYMENT, deployment, {"replicas": 2}, False),
        (SERVICES, SERVICE, service, {"sessionAffinity": "ClientIP"}, True),
    ],
    ids=["with generations", "without generations"],
)
async def test_a_dependents_own_status_reconciles_nothing(
    kubeconfig: Path, path: str, gvk: GroupVersionKind, make: Any, spec: KubeObject, whole: bool
) -> None:
    kind = kind_of_its_own()
    await installed(kubeconfig, kind)
    async with proxied(kubeconfig, Watch(kind.gvk)) as operating:
        owner, name = await an_owner(operating.client, kind), f"{kind.plural}-x"
        with operating.run_for(owner) as run:
            assert (await run.post(path, make(name))).status == 201
        await operating.synced(gvk)
        view = operating.cache.view(gvk, "default", whole=False)
        assert view is not None
        assert view.informer.metadata_only is not whole
        condition = {"type": "Ready", "status": "True", "lastUpdateTime": "2026-01-01T00:00:00Z"}
        status = {"status": {"conditions": [condition]}}
        changed = await operating.client.patch(f"{path}/{name}/status", status)
        await until(lambda: view.informer.has_seen(changed["metadata"]["resourceVersion"]), "the status is seen")
        assert await operating.drain(kind.gvk) == set()
        await operating.client.patch(f"{path}/{name}", {"spec": spec})
        assert await operating.wanted(kind.gvk) == {owner.key}


async def test_what_is_deleted_before_its_kind_is_listed_is_not_lost(kubeconfig: Path) -> None:
    kind = kind_of_its_own()
    await installed(kubeconfig, kind)
    async with proxied(kubeconfig, Watch(kind.gvk)) as operating:
        owner, name = await an_owner(operating.client, kind), f"{kind.plural}-map"
        resource = await operating.discovery.resource(CONFIG_MAP)
        created = await operating.client.create(
            MAPS, config_map(name) | {"metadata": {"name": name, "ownerReferences": [_reference(owner)]}}
        )
        await operating.client.delete(f"{MAPS}/{name}")
        operating.dependents.observe(resource, {**created, "kind": "ConfigMap"}, 0)
        assert await operating.wanted(kind.gvk) == {owner.key}


def _reference(owner: Owner) -> KubeObject:
    return {"apiVersion": owner.gvk.api_version, "kind": owner.gvk.kind, "name": owner.key.name, "uid": owner.uid}


@pytest.mark.parametrize("how", ["scan", "read"])
async def test_dependents_of_an_earlier_operator_are_found(kubeconfig: Path, how: str) -> None:
    kind = kind_of_its_own()
    await installed(kubeconfig, kind)
    async with proxied(kubeconfig) as before:
        owner, name = await an_owner(before.client, kind), f"{kind.plural}-map"
        with before.run_for(owner) as run:
            await run.post(MAPS, config_map(name))
    async with proxied(kubeconfig, Watch(kind.gvk)) as operating:
        if how == "scan":
            await operating.scan()
        else:
            with operating.run_for(owner) as run:
                assert (await run.get(f"{MAPS}/{name}")).status == 200
        await operating.synced(CONFIG_MAP)
        await operating.client.delete(f"{MAPS}/{name}")
        assert await operating.wanted(kind.gvk) == {owner.key}


async def test_a_kind_without_dependents_is_not_watched_after_a_start(kubeconfig: Path) -> None:
    kind = kind_of_its_own()
    await installed(kubeconfig, kind)
    async with proxied(kubeconfig, Watch(kind.gvk)) as operating:
        await an_owner(operating.client, kind)
        await operating.scan()
        assert operating.cache.view(CONFIG_MAP, "default", whole=False) is None


@pytest.mark.parametrize(
    ("watch", "is_watched"),
    [
        ({"watch_dependent_resources": False}, False),
        ({"blacklist": frozenset({CONFIG_MAP})}, False),
        ({"blacklist": frozenset({SERVICE})}, True),
    ],
    ids=["none wanted", "blacklisted", "another blacklisted"],
)
async def test_a_watch_says_which_dependents_it_wants(
    kubeconfig: Path, watch: dict[str, Any], is_watched: bool
) -> None:
    kind = kind_of_its_own()
    await installed(kubeconfig, kind)
    async with proxied(kubeconfig, Watch(kind.gvk, **watch)) as operating:
        owner, name = await an_owner(operating.client, kind), f"{kind.plural}-map"
        with operating.run_for(owner) as run:
            created = await run.post(MAPS, config_map(name))
            assert created.body["metadata"]["ownerReferences"] == [_reference(owner)]
        resource = await operating.discovery.resource(CONFIG_MAP)
        assert operating.dependents.watch_kind_of(resource, created.body) is is_watched


@pytest.mark.parametrize("wanted", [True, False])
async def test_cluster_scoped_dependents_are_watched_where_asked_for(kubeconfig: Path, wanted: bool) -> None:
    kind = kind_of_its_own()
    await installed(kubeconfig, kind)
    roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    async with proxied(kubeconfig, Watch(kind.gvk, watch_cluster_scoped_resources=wanted)) as operating:
        owner, name = await an_owner(operating.client, kind), f"{kind.plural}-role"
        with operating.run_for(owner) as run:
            created = await run.post(roles, {"metadata": {"name": name}, "rules": []})
        resource = await operating.discovery.resource(GroupVersionKind.of(created.body))
        assert operating.dependents.watch_kind_of(resource, created.body) is wanted
        if wanted:
            await operating.synced(resource.gvk)
            await operating.client.delete(f"{roles}/{name}")
            assert await operating.wanted(kind.gvk) == {owner.key}


async def test_a_kind_that_may_not_be_watched_costs_one_warning_and_no_wait(kubeconfig: Path, tmp_path: Path) -> None:
    kind = kind_of_its_own()
    await installed(kubeconfig, kind)
    async with proxied(kubeconfig) as admin:
        owner, name = await an_owner(admin.client, kind), f"{kind.plural}-map"
        limited = await _limited_kubeconfig(admin.client, kubeconfig, tmp_path, name, kind)
    with capture_logs() as logs:
        async with proxied(limited, Watch(kind.gvk)) as operating, operating.session:
            with operating.run_for(owner) as run:
                assert (await run.post(MAPS, config_map(name))).status == 201
                await until(lambda: _refusals(logs), "a warning")
                for _ in range(20):
                    assert (await run.get(f"{MAPS}/{name}")).status == 200
            await operating.scan()
    assert len(_refusals(logs)) == 1
    assert _refusals(logs)[0]["gvk"] == str(CONFIG_MAP)


def _refusals(logs: Any) -> list[Any]:
    return [line for line in logs if "may not be listed and watched" in line["event"]]


async def _limited_kubeconfig(client: HttpClient, admin: Path, directory: Path, name: str, kind: Kind) -> Path:
    """Make a user who may watch the owners, and create and read ConfigMaps one by one."""
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    rules = [
        {"apiGroups": ["watching.test"], "resources": [kind.plural], "verbs": ["*"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create"]},
    ]
    await client.create(f"{rbac}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    binding = {"metadata": {"name": name}, "subjects": [subject], "roleRef": role}
    await client.create(f"{rbac}/clusterrolebindings", binding)
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    await client.create(accounts, {"metadata": {"name": name}})
    token = await client.create(f"{accounts}/{name}/token", {"spec": {}})
    config = yaml.safe_load(admin.read_text(encoding="utf-8"))
    for user in config["users"]:
        user["user"] = {"token": token["status"]["token"]}
    limited = directory / "limited"
    limited.write_text(yaml.safe_dump(config), encoding="utf-8")
    return limited
