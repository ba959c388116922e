"""Discovery against a real API server."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.client import connect
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.clock import SystemClock
from reconcile_runner.errors import KindNotFoundError
from tests.support.watching import Kind, until


async def test_built_in_kinds(kubeconfig: Path) -> None:
    async with await connect(kubeconfig) as client:
        discovery = Discovery(client, SystemClock())
        pod = await discovery.resource(GroupVersionKind("", "v1", "Pod"))
        assert (pod.plural, pod.namespaced) == ("pods", True)
        assert {"status", "log", "exec"} <= pod.subresources
        assert {"list", "watch", "patch"} <= pod.verbs
        role = await discovery.resource(GroupVersionKind("rbac.authorization.k8s.io", "v1", "ClusterRole"))
        assert (role.plural, role.namespaced) == ("clusterroles", False)
        assert (await client.get(role.path(name="system:node")))["metadata"]["name"] == "system:node"


@pytest.mark.parametrize(
    "gvk",
    [GroupVersionKind("", "v1", "Nonsense"), GroupVersionKind("no.such.group", "v1", "Foo")],
    ids=["unknown kind", "unknown group"],
)
async def test_unknown_kinds(kubeconfig: Path, gvk: GroupVersionKind) -> None:
    async with await connect(kubeconfig) as client:
        with pytest.raises(KindNotFoundError):
            await Discovery(client, SystemClock()).resource(gvk)


async def test_a_custom_kind_comes_changes_its_scope_and_goes(kubeconfig: Path) -> None:
    kind = Kind("Comet")
    async with await connect(kubeconfig) as client:
        discovery = Discovery(client, SystemClock())
        with pytest.raises(KindNotFoundError):
            await discovery.resource(kind.gvk)
        await kind.install(client)
        found = await discovery.wait_for(kind.gvk)
        assert (found.plural, found.namespaced, found.subresources) == ("comets", True, frozenset({"status"}))
        await kind.remove(client)
        await kind.install(client, namespaced=False)
        # The API server serves a kind before its discovery tells of it.
        await until(lambda: _is_namespaced(discovery, kind.gvk, expected=False), "it is cluster-scoped now")
        await kind.remove(client)
        await until(lambda: _is_namespaced(discovery, kind.gvk, expected=None), "it is gone")


async def test_the_word_for_what_is_served_changes_with_a_kind(kubeconfig: Path) -> None:
    kind = Kind("Satellite")
    async with await connect(kubeconfig) as client, await connect(kubeconfig) as other:
        discovery = Discovery(client, SystemClock())
        for namespaced in (True, False):
            before = await discovery.etag()
            assert before
            await kind.install(client, namespaced=namespaced)
            await until(lambda: _has_changed(discovery, before), "a kind came")  # noqa: B023 - awaited in this round
            there = await discovery.etag()
            assert await Discovery(other, SystemClock()).etag() == there, "it is not of who asks"
            await kind.remove(client)
            await until(lambda: _has_changed(discovery, there), "a kind went")  # noqa: B023


async def _has_changed(discovery: Discovery, etag: str) -> bool:
    return await discovery.etag() not in ("", etag)


async def _is_namespaced(discovery: Discovery, gvk: GroupVersionKind, *, expected: bool | None) -> bool:
    """Ask anew, and tell whether the answer is as expected; None: there is no such kind."""
    try:
        return (await discovery.refresh(gvk)).namespaced is expected
    except KindNotFoundError:
        return expected is None
