"""Reads through the proxy, whatever the kind and the form, are the API server's own answers, field for field.

The answers are compared as they are. One thing alone cannot be the same: where two lists are in history, since all that
is written anywhere moves the API server's place. So of two lists' own `resourceVersion` only their being there is
compared, and of the token with which a list is continued.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from reconcile_devcluster.cluster import Cluster
from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey, key_of, resource_version
from reconcile_runner.client import ACCEPT_JSON, ACCEPT_PARTIAL, ACCEPT_PARTIAL_LIST, HttpClient, PatchType, connect
from reconcile_runner.client.discovery import Resource
from reconcile_runner.errors import ConflictError
from reconcile_runner.proxy import Owner
from reconcile_runner.reconciler.finalizer import FinalizerKeeper
from tests.support.commonkinds import COMMON_KINDS, OTHER, OTHER_DEFINITION, CommonKind
from tests.support.proxying import Proxied, Run, proxied
from tests.support.watching import CRDS, until
from tools.testing.definitions import custom_resource_definition

pytestmark = pytest.mark.timeout(300)

OWNER = Owner(GroupVersionKind("truth.test", "v1", "Owner"), ObjectKey("default", "owner"), "no-such-uid")
NAMESPACES = ("truth", "truth-b")
"""The second one comes first in the API server's lists, though not if namespaces are compared alone."""

NO_STATUS = CommonKind(
    GroupVersionKind("truth.test", "v1", "Plain"), "plains", {"spec": {"a": 1.5, "b": [None, 2**53]}}
)
GLOBAL = CommonKind(GroupVersionKind("truth.test", "v1", "Global"), "globals", {"spec": {}}, namespaced=False)
KINDS = (*COMMON_KINDS, NO_STATUS, GLOBAL)


def definition(kind: CommonKind, *, has_status: bool) -> KubeObject:
    made = custom_resource_definition(kind.gvk.group, kind.name, namespaced=kind.namespaced)
    if not has_status:
        del made["spec"]["versions"][0]["subresources"]
    return made


DEFINITIONS = {
    OTHER.plural: OTHER_DEFINITION,
    NO_STATUS.plural: definition(NO_STATUS, has_status=False),
    GLOBAL.plural: definition(GLOBAL, has_status=True),
}

NOW = "2026-01-02T03:04:05Z"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
OBJECT_FORMS = (ACCEPT_JSON, ACCEPT_PARTIAL, "*/*", TABLE, "application/yaml", "application/vnd.kubernetes.protobuf")
LIST_FORMS = (ACCEPT_JSON, ACCEPT_PARTIAL_LIST, TABLE, "application/yaml")

OBJECT_QUERIES: tuple[dict[str, str], ...] = ({}, {"resourceVersion": "0"}, {"pretty": "true"})
LIST_QUERIES: tuple[dict[str, str], ...] = (
    {},
    {"labelSelector": "app=web"},
    {"labelSelector": "app in (web, db),tier!=back"},
    {"labelSelector": "!app"},
    {"labelSelector": "app=no one"},
    {"fieldSelector": "metadata.name=one"},
    {"fieldSelector": "metadata.name!=one"},
    {"fieldSelector": "metadata.namespace=truth"},
    {"fieldSelector": "metadata.name=one,metadata.namespace=elsewhere"},
    {"fieldSelector": "status.phase=Pending"},
    {"resourceVersion": "0"},
    {"resourceVersion": "0", "resourceVersionMatch": "NotOlderThan"},
    {"resourceVersionMatch": "NotOlderThan"},
    {"limit": "1"},
    {"limit": "500", "labelSelector": "app"},
    {"limit": "-1"},
    {"watch": "false"},
)


@dataclass(frozen=True)
class Asked:
    """One question, of the proxy and of the API server."""

    path: str
    query: Mapping[str, str]
    accept: str

    @property
    def target(self) -> str:
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    def __str__(self) -> str:
        return f"GET {self.target} as {self.accept}"


@dataclass(frozen=True)
class Said:
    """An answer: all of it that clients read."""

    status: int
    content_type: str
    body: Any


def said(status: int, content_type: str, text: bytes) -> Said:
    """Return an answer, decoded. Of where a list is in history only stays whether it says so."""
    body: Any = text
    if content_type.startswith("application/json"):
        body = json.loads(text)
    elif content_type.startswith("application/yaml"):
        body = yaml.safe_load(text)
    if isinstance(body, dict) and not {"items", "rows"}.isdisjoint(body):
        places = {
            name: bool(body["metadata"][name]) for name in ("resourceVersion", "continue") if name in body["metadata"]
        }
        body = {**body, "metadata": {**body["metadata"], **places}}
    return Said(status, content_type, body)


async def through(run: Run, asked: Asked) -> tuple[Said, bool]:
    """Ask the proxy; return whether the cache answered, too."""
    headers = {"Authorization": f"Bearer {run.token}", "Accept": asked.accept}
    async with run.session.get(f"{run.url}{asked.target}", headers=headers) as answer:
        return said(answer.status, answer.headers["Content-Type"], await answer.read()), "X-Cache" in answer.headers


async def direct(client: HttpClient, asked: Asked) -> Said:
    """Ask the API server itself."""
    answer = await client.forward("GET", asked.target, {"Accept": asked.accept}, None)
    async with answer:
        return said(answer.status, answer.headers["Content-Type"], await answer.read())


@asynccontextmanager
async def prepared(client: HttpClient, *kinds: CommonKind) -> AsyncIterator[list[KubeObject]]:
    """Yield objects that did not stay as they were created: roles worked on them, and the operator itself.

    They go afterwards: tests of other files look at what there is of a kind anywhere.
    """
    made: list[KubeObject] = []
    try:
        for kind in kinds:
            made += await objects_of(client, kind)
        yield made
    finally:
        for obj in made:
            kind = next(one for one in kinds if one.name == obj["kind"])
            key = key_of(obj)
            await client.delete(kind.path(key.namespace, key.name), params={"gracePeriodSeconds": "0"})


async def objects_of(client: HttpClient, kind: CommonKind) -> list[KubeObject]:
    if kind.plural in DEFINITIONS:
        await ensure(client, CRDS, DEFINITIONS[kind.plural])
        await until(lambda: is_served(client, kind), f"{kind.name} is served")
    for namespace in NAMESPACES:
        await ensure(client, "/api/v1/namespaces", {"metadata": {"name": namespace}})
        await ensure(client, f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "default"}})
    made = []
    for namespace, name, labels in (
        ("truth", "one", {"app": "web", "tier": "front"}),
        ("truth", "two", {"app": "db"}),
        ("truth-b", "one", {}),
    ):
        path = kind.path(namespace)
        obj = await ensure(client, path, kind.object(namespace, name, **labels))
        made.append(await worked_on(client, kind, obj))
    return made


async def ensure(client: HttpClient, path: str, obj: KubeObject) -> KubeObject:
    """Create an object, or read the one that is there."""
    try:
        return await client.create(path, obj)
    except ConflictError:
        return await client.get(f"{path}/{obj['metadata']['name']}")


async def is_served(client: HttpClient, kind: CommonKind) -> bool:
    answer = await client.forward("GET", kind.path(NAMESPACES[0]), {}, None)
    async with answer:
        return answer.status == HTTPStatus.OK


async def worked_on(client: HttpClient, kind: CommonKind, obj: KubeObject) -> KubeObject:
    """Change an object as the operator does (a finalizer on and off, a status), and by a server-side apply."""
    key, resource = key_of(obj), Resource(kind.gvk, kind.plural, kind.namespaced)
    keeper = FinalizerKeeper(client)
    await keeper.add(resource, key, obj, "truth.test/cleanup")
    await keeper.remove(resource, key, obj["metadata"]["uid"], "truth.test/cleanup")
    path = resource.path(key.namespace, key.name)
    if kind.gvk.group in ("tutorial.my.domain", "common.test", "truth.test") and kind is not NO_STATUS:
        conditions = [
            {"type": "Ready", "status": "True", "reason": "Successful", "message": "", "lastTransitionTime": NOW}
        ]
        status = {"observedGeneration": 1, "conditions": conditions}
        await client.patch(f"{path}/status", {"status": status}, patch_type=PatchType.MERGE)
    own = {"apiVersion": kind.gvk.api_version, "kind": kind.name, "metadata": {"annotations": {"truth.test/a": "b"}}}
    return await client.patch(path, own, patch_type=PatchType.APPLY, params={"fieldManager": "truth", "force": "true"})


@asynccontextmanager
async def reading(kubeconfig: Path, kind: CommonKind, *, whole: bool) -> AsyncIterator[tuple[Proxied, Run]]:
    """Run a proxy whose cache holds a kind's objects, as they are now."""
    settings = {"whole": [kind.gvk] if whole else [], "partial": [] if whole else [kind.gvk]}
    async with (
        await connect(kubeconfig) as client,
        prepared(client, kind) as objects,
        proxied(kubeconfig, injects=False, whole=settings["whole"], partial=settings["partial"]) as operating,
    ):
        informer = operating.cache.required_informer(kind.gvk)
        assert informer is not None
        for obj in objects:
            key, version = key_of(obj), resource_version(obj)
            await until(
                lambda key=key, version=version: resource_version(informer.get(key) or {}) == version,  # type: ignore[misc]
                f"the cache has {key}",
            )
        with operating.run_for(OWNER) as run:
            yield operating, run


def questions(kind: CommonKind, *, whole: bool) -> Iterator[Asked]:
    """Yield what is asked of a kind: each form of each read verb but watch.

    `whole`: of a cache that holds whole objects. One of metadata leaves all but metadata to the API server.
    """
    for asked in _questions(kind):
        if whole or asked.accept in (ACCEPT_PARTIAL, ACCEPT_PARTIAL_LIST):
            yield asked


def _questions(kind: CommonKind) -> Iterator[Asked]:
    names = ("one", "two", "none") if kind.namespaced else ("truth-one", "truth-two", "none")
    for name in names:
        path = kind.path("truth", name)
        for accept in OBJECT_FORMS:
            for query in OBJECT_QUERIES if accept in (ACCEPT_JSON, ACCEPT_PARTIAL) else OBJECT_QUERIES[:1]:
                yield Asked(path, query, accept)
        yield Asked(f"{path}/status", {}, ACCEPT_JSON)
        yield Asked(f"{path}/nothing", {}, ACCEPT_JSON)
    misplaced = (
        kind.path("", names[0])
        if kind.namespaced
        else f"/namespaces/truth/{kind.plural}".join(kind.path("").rsplit(f"/{kind.plural}", 1))
    )
    yield Asked(misplaced, {}, ACCEPT_JSON)
    for path in {kind.path("truth"), kind.path("")}:
        for accept in LIST_FORMS:
            queries = LIST_QUERIES if accept in (ACCEPT_JSON, ACCEPT_PARTIAL_LIST) else LIST_QUERIES[:2]
            for query in queries:
                yield Asked(path, query, accept)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "metadata"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_what_a_run_reads_is_what_the_api_server_says(
    foo_cluster: Cluster, kind: CommonKind, whole: bool
) -> None:
    differing, from_cache = [], 0
    async with reading(foo_cluster.kubeconfig, kind, whole=whole) as (operating, run):
        for asked in questions(kind, whole=whole):
            before = await direct(operating.client, asked)
            got, is_from_cache = await through(run, asked)
            # A table tells ages: what it says may change between two questions.
            if got != before and got != await direct(operating.client, asked):
                differing.append((str(asked), is_from_cache, before, got))
            from_cache += is_from_cache
    assert not differing, "\n".join(
        f"{asked} (cache: {cache})\n  {one}\n  {other}" for asked, cache, one, other in differing
    )
    assert from_cache > 10, "or nothing was compared"


async def test_what_a_run_watches_is_what_the_api_server_says(foo_cluster: Cluster) -> None:
    """Every kind at once, from the beginning; the API server ends a watch after a second."""
    whole = [kind.gvk for kind in KINDS]
    async with (
        await connect(foo_cluster.kubeconfig) as client,
        prepared(client, *KINDS),
        proxied(foo_cluster.kubeconfig, injects=False, whole=whole) as operating,
    ):
        query = {"watch": "true", "resourceVersion": "0", "timeoutSeconds": "1"}

        async def past_the_proxy(asked: Asked) -> list[Any]:
            answer = await operating.client.forward("GET", asked.target, {"Accept": asked.accept}, None)
            async with answer:
                return [json.loads(line) async for line in answer.content]

        async def by_the_proxy(run: Run, asked: Asked) -> list[Any]:
            headers = {"Authorization": f"Bearer {run.token}", "Accept": asked.accept}
            async with run.session.get(f"{run.url}{asked.target}", headers=headers) as answer:
                return [json.loads(line) async for line in answer.content]

        async def compared(run: Run, kind: CommonKind) -> None:
            asked = Asked(kind.path("truth" if kind.namespaced else ""), query, ACCEPT_JSON)
            expected, found = await asyncio.gather(past_the_proxy(asked), by_the_proxy(run, asked))
            assert len(expected) >= 2, kind
            assert found == expected, kind

        with operating.run_for(OWNER) as run:
            await asyncio.gather(*(compared(run, kind) for kind in KINDS))
