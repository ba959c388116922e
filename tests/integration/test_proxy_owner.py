"""Whose a run's objects are, as the API server stores them: creates, server-side applies, replacements."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.errors import ConflictError
from reconcile_runner.proxy import Owner
from tests.support.proxying import CONFIG_MAPS, MERGE, Proxied, Run, owner_of, proxied
from tests.support.watching import Kind

pytestmark = pytest.mark.timeout(120)

PARENT, GLOBAL_PARENT = Kind("Parent"), Kind("GlobalParent")
_names = (f"it-{number}" for number in itertools.count())


@asynccontextmanager
async def operator(kubeconfig: Path, **settings: Any) -> AsyncIterator[Proxied]:
    async with proxied(kubeconfig, **settings) as operating:
        for kind, namespaced in ((PARENT, True), (GLOBAL_PARENT, False)):
            with contextlib.suppress(ConflictError):
                await kind.install(operating.client, namespaced=namespaced)
        yield operating


async def parent(operating: Proxied, kind: Kind = PARENT) -> Owner:
    path = kind.path("default" if kind is PARENT else "")
    return owner_of(await operating.client.create(path, kind.object(next(_names))))


def reference(owner: Owner) -> KubeObject:
    return {
        "apiVersion": owner.gvk.api_version,
        "kind": owner.gvk.kind,
        "name": owner.key.name,
        "uid": owner.uid,
    }


def config_map(name: str, **meta: object) -> KubeObject:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}, "data": {"a": "1"}}


async def stored(operating: Proxied, path: str) -> dict[str, Any]:
    meta: dict[str, Any] = (await operating.client.get(path))["metadata"]
    return meta


MAPS = CONFIG_MAPS.format("default")


async def test_a_created_object_refers_to_its_owner(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating), next(_names)
        with operating.run_for(owner) as run:
            answer = await run.post(MAPS, config_map(name))
            assert answer.status == 201
        assert (await stored(operating, f"{MAPS}/{name}"))["ownerReferences"] == [reference(owner)]


async def test_what_the_role_says_of_owners_stays(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, other = await parent(operating), await parent(operating)
        mine, theirs = reference(owner) | {"blockOwnerDeletion": True}, reference(other) | {"controller": True}
        first, second = next(_names), next(_names)
        with operating.run_for(owner) as run:
            await run.post(MAPS, config_map(first, ownerReferences=[mine]))
            await run.post(MAPS, config_map(second, ownerReferences=[theirs]))
        assert (await stored(operating, f"{MAPS}/{first}"))["ownerReferences"] == [mine]
        assert (await stored(operating, f"{MAPS}/{second}"))["ownerReferences"] == [theirs, reference(owner)]


async def test_an_owner_out_of_reach_is_named_in_annotations(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating), next(_names)
        await operating.client.create("/api/v1/namespaces", {"metadata": {"name": name}})
        expected = {
            "operator-sdk/primary-resource": f"default/{owner.key.name}",
            "operator-sdk/primary-resource-type": "Parent.watching.test",
        }
        roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
        with operating.run_for(owner) as run:
            await run.post(CONFIG_MAPS.format(name), config_map(name, annotations={"a": "b"}))
            await run.post(roles, {"metadata": {"name": name}, "rules": []})
        elsewhere = await stored(operating, f"{CONFIG_MAPS.format(name)}/{name}")
        assert elsewhere["annotations"] == {"a": "b", **expected}
        assert "ownerReferences" not in elsewhere
        assert (await stored(operating, f"{roles}/{name}"))["annotations"] == expected


async def test_a_cluster_scoped_owner_is_referred_to_from_anywhere(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating, GLOBAL_PARENT), next(_names)
        roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
        with operating.run_for(owner) as run:
            await run.post(MAPS, config_map(name))
            await run.post(roles, {"metadata": {"name": name}, "rules": []})
        for path in (f"{MAPS}/{name}", f"{roles}/{name}"):
            assert (await stored(operating, path))["ownerReferences"] == [reference(owner)]


@pytest.mark.parametrize("as_yaml", [False, True], ids=["json", "yaml"])
async def test_a_server_side_apply_that_creates_gives_an_owner_which_later_applies_keep(
    kubeconfig: Path, as_yaml: bool
) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating), next(_names)
        body: KubeObject | bytes = config_map(name)
        if as_yaml:
            body = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: '1', d: 22:22}}\n".encode()
        with operating.run_for(owner) as run:
            assert (await run.apply(f"{MAPS}/{name}", body)).status == 201
            assert (await run.apply(f"{MAPS}/{name}", body)).status == 200
        found = await operating.client.get(f"{MAPS}/{name}")
        assert found["metadata"]["ownerReferences"] == [reference(owner)]
        if as_yaml:
            assert found["data"] == {"a": "1", "d": "22:22"}


async def test_what_somebody_else_made_is_not_taken_by_an_apply(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating), next(_names)
        await operating.client.create(MAPS, config_map(name))
        with operating.run_for(owner) as run:
            assert (await run.apply(f"{MAPS}/{name}", config_map(name))).status == 200
            await run.merge(f"{MAPS}/{name}", {"data": {"a": "2"}})
            await run.call("PUT", f"{MAPS}/{name}", config_map(name))
        assert "ownerReferences" not in await stored(operating, f"{MAPS}/{name}")


async def test_a_replacement_keeps_the_owner_unless_it_speaks_of_owners(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating), next(_names)
        with operating.run_for(owner) as run:
            await run.post(MAPS, config_map(name))
            await run.call("PUT", f"{MAPS}/{name}", config_map(name, labels={"a": "b"}))
            kept = await stored(operating, f"{MAPS}/{name}")
            assert (kept["ownerReferences"], kept["labels"]) == ([reference(owner)], {"a": "b"})
            await run.call("PUT", f"{MAPS}/{name}", config_map(name, ownerReferences=[]))
        assert "ownerReferences" not in await stored(operating, f"{MAPS}/{name}")


async def test_events_reviews_and_dry_runs_pass_as_they_are(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating), next(_names)
        events = "/api/v1/namespaces/default/events"
        event = {
            "metadata": {"name": name},
            "involvedObject": {"namespace": "default"},
            "reason": "Changed",
            "type": "Normal",
        }
        review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}}
        with operating.run_for(owner) as run:
            assert (await run.post(events, event)).status == 201
            reviewed = await run.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
            assert (reviewed.status, reviewed.body["status"]["allowed"]) == (201, True)
            dry = await run.call("POST", MAPS, config_map(name), params={"dryRun": "All"})
            assert dry.body["metadata"]["ownerReferences"] == [reference(owner)]
        assert "ownerReferences" not in await stored(operating, f"{events}/{name}")


async def test_nothing_is_marked_where_that_is_turned_off(kubeconfig: Path) -> None:
    async with operator(kubeconfig, injects=False) as operating:
        owner, name = await parent(operating), next(_names)
        with operating.run_for(owner) as run:
            await run.post(MAPS, config_map(name))
            await run.apply(f"{MAPS}/{name}-2", config_map(f"{name}-2"))
        for stored_name in (name, f"{name}-2"):
            assert "ownerReferences" not in await stored(operating, f"{MAPS}/{stored_name}")


async def test_errors_arrive_as_the_api_server_words_them(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        owner, name = await parent(operating), next(_names)
        with operating.run_for(owner) as run:
            await run.post(MAPS, config_map(name))
            assert (await run.post(MAPS, config_map(name))).body["reason"] == "AlreadyExists"
            assert (await run.post(MAPS, {"metadata": []})).status == 400
            assert (await run.call("POST", MAPS, b"{broken")).status == 400
            assert (await run.post("/apis/no.such/v1/things", {})).status == 404
            unsupported = await run.call("PATCH", f"{MAPS}/{name}", b"x", headers={"Content-Type": MERGE})
            assert unsupported.status == 400


async def test_a_run_cannot_mark_objects_in_the_name_of_another(kubeconfig: Path) -> None:
    async with operator(kubeconfig) as operating:
        first, second = await parent(operating), await parent(operating)
        names = [next(_names), next(_names)]
        with operating.run_for(first) as one, operating.run_for(second) as two:
            runs: list[tuple[Run, str]] = [(one, names[0]), (two, names[1])]
            for run, name in runs:
                await run.post(MAPS, config_map(name))
        for owner, name in zip((first, second), names, strict=True):
            assert (await stored(operating, f"{MAPS}/{name}"))["ownerReferences"] == [reference(owner)]
