"""Whom a run impersonates counts on every way through the proxy as it does without the proxy.

The oracle is the API server: the same request, sent to it by the operator. One thing alone cannot be the same: where a
list is in history, so of two lists' own `resourceVersion` only their being there is compared.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import aiohttp
import pytest
from multidict import CIMultiDict

from reconcile_devcluster.cluster import Cluster
from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.client import HttpClient, connect
from reconcile_runner.errors import ConflictError
from reconcile_runner.proxy import Owner
from tests.support.proxying import Proxied, Run, proxied

pytestmark = pytest.mark.timeout(120)

Headers: TypeAlias = tuple[tuple[str, str], ...]

OWNER = Owner(GroupVersionKind("authority.test", "v1", "Owner"), ObjectKey("default", "owner"), "no-such-uid")
NAMESPACE = "authority"
CONFIG_MAP = GroupVersionKind("", "v1", "ConfigMap")
CORE = f"/api/v1/namespaces/{NAMESPACE}"
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
UPGRADE = ("Connection", "Upgrade")
WEBSOCKET: Headers = (
    UPGRADE,
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Protocol", "v4.channel.k8s.io"),
)
SPDY: Headers = (UPGRADE, ("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", "v4.channel.k8s.io"))
EXEC = f"{CORE}/pods/unscheduled/exec?command=ls&stdout=true"
UID = "6f2f2a1c-0000-4000-8000-000000000001"


@dataclass(frozen=True)
class Way:
    """A request that takes one of the proxy's ways, and whose answer is the same each time."""

    method: str
    target: str
    headers: Headers = ()
    body: bytes | None = None


JSON = ("Content-Type", "application/json")
REFUSED_BODY = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "Not Valid"}}).encode()
REVIEW = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).encode()
WAYS = {
    "cached read": Way("GET", f"{CORE}/configmaps/one"),
    "cached list": Way("GET", f"{CORE}/configmaps"),
    "past the cache": Way("GET", f"{CORE}/configmaps/one", (("Cache-Control", "no-cache"),)),
    "uncached read": Way("GET", f"{CORE}/secrets/none"),
    "subresource": Way("GET", f"{CORE}/pods/unscheduled/log"),
    "watch": Way("GET", f"{CORE}/configmaps?watch=1&labelSelector=!!"),
    "discovery": Way("GET", "/api/v1"),
    "no resource": Way("GET", "/metrics/slis"),
    "create": Way("POST", f"{CORE}/configmaps", (JSON,), REFUSED_BODY),
    "patch": Way("PATCH", f"{CORE}/secrets/none", (("Content-Type", "application/merge-patch+json"),), b"{}"),
    "delete": Way("DELETE", f"{CORE}/secrets/none"),
    "who am I": Way("POST", REVIEWS, (JSON,), REVIEW),
    "websocket": Way("GET", EXEC, WEBSOCKET),
    "spdy": Way("POST", EXEC, SPDY),
}

USER, GROUP, UID_HEADER = "Impersonate-User", "Impersonate-Group", "Impersonate-Uid"
SCOPES = "Impersonate-Extra-Scopes"
JUDGED: dict[str, Headers] = {
    "nobody": (),
    "a user": ((USER, "jack"),),
    "a user in small letters": ((USER.lower(), "jack"),),
    "a user with an accent": ((USER, "jos\u00e9"),),
    "a user beyond Latin-1": ((USER, "\u5f20\u4f1f"),),
    "no user that is logged in": ((USER, "system:anonymous"),),
    "a ServiceAccount": ((USER, "system:serviceaccount:default:default"),),
    "a user with rights": ((USER, "jack"), (GROUP, "system:masters")),
    "a user of two groups": ((USER, "jack"), (GROUP, "readers"), (GROUP, "writers")),
    "a user with a UID": ((USER, "jack"), (UID_HEADER, UID)),
    "a user with extras": ((USER, "jack"), (SCOPES, "view"), (SCOPES, "edit"), ("impersonate-extra-a%2fb", "c")),
    "a group alone": ((GROUP, "readers"),),
    "a group with rights alone": ((GROUP, "system:masters"),),
    "a UID alone": ((UID_HEADER, UID),),
    "an extra alone": ((SCOPES, "view"),),
}
"""What the API server has an answer to."""

OVERLOOKED: dict[str, Headers] = {
    "two users": ((USER, "jack"), (USER, "jill")),
    "a user twice": ((USER, "jack"), (USER, "jack")),
    "the token, then a user": ((USER, "{token}"), (USER, "jack")),
    "a user, then the token": ((USER, "jack"), (USER, "{token}")),
    "the token twice": ((USER, "{token}"), (USER, "{token}")),
    "an empty user": ((USER, ""),),
    "an empty user of a group": ((USER, ""), (GROUP, "readers")),
    "a user, then an empty one": ((USER, "jack"), (USER, "")),
    "two UIDs": ((USER, "jack"), (UID_HEADER, UID), (UID_HEADER, "other")),
    "an empty UID": ((USER, "jack"), (UID_HEADER, "")),
    "an unknown header": (("Impersonate-Users", "jack"),),
    "a second credential": (("Authorization", "Bearer other"),),
}
"""What the API server would take for something else, at worst for the operator."""


@dataclass(frozen=True)
class Bench:
    """A proxy, a run, and the API server itself."""

    operating: Proxied
    run: Run

    async def direct(self, way: Way, headers: Headers) -> Answered:
        sent = CIMultiDict((*way.headers, *headers))
        return await answered(await self.operating.client.forward(way.method, way.target, sent, way.body))

    async def proxied(self, way: Way, headers: Headers) -> Answered:
        filled = ((name, value.format(token=self.run.token)) for name, value in headers)
        sent = CIMultiDict((*way.headers, *filled))
        request = self.run.session.request(way.method, self.run.url + way.target, headers=sent, data=way.body)
        return await answered(await request)

    @property
    def bearer(self) -> Headers:
        return (("Authorization", f"Bearer {self.run.token}"),)


@dataclass(frozen=True)
class Answered:
    """What is compared, and whether it came from the cache."""

    status: int
    reason: str | None
    content_type: str | None
    body: Any


async def answered(response: aiohttp.ClientResponse) -> Answered:
    async with response:
        body = await response.read()
        content_type = response.headers.get("Content-Type")
    decoded = json.loads(body) if (content_type or "").startswith("application/json") else body
    if isinstance(decoded, dict) and "items" in decoded:
        decoded["metadata"]["resourceVersion"] = bool(decoded["metadata"]["resourceVersion"])
    if isinstance(decoded, dict) and decoded.get("kind") == "SelfSubjectReview":
        decoded = decoded["status"]  # what was asked, without the time of the answer
    return Answered(response.status, response.reason, content_type, decoded)


async def fill(client: HttpClient) -> None:
    objects: tuple[tuple[str, KubeObject], ...] = (
        ("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}}),
        (f"{CORE}/configmaps", {"metadata": {"name": "one"}, "data": {"a": "b"}}),
        (f"{CORE}/serviceaccounts", {"metadata": {"name": "default"}}),
        (
            f"{CORE}/pods",
            {"metadata": {"name": "unscheduled"}, "spec": {"containers": [{"name": "main", "image": "none"}]}},
        ),
    )
    for path, obj in objects:
        with contextlib.suppress(ConflictError):
            await client.create(path, obj)


@asynccontextmanager
async def bench(cluster: Cluster) -> AsyncIterator[Bench]:
    async with await connect(cluster.kubeconfig) as admin:
        await fill(admin)
    async with proxied(cluster.kubeconfig, whole=(CONFIG_MAP,)) as operating:
        with operating.run_for(OWNER) as run:
            assert (await run.get(f"{CORE}/configmaps/one")).is_from_cache
            yield Bench(operating, run)


@pytest.mark.parametrize("shape", JUDGED.values(), ids=JUDGED)
async def test_each_way_gives_the_api_servers_own_answer(cluster: Cluster, shape: Headers) -> None:
    async with bench(cluster) as b:
        names_a_user = any(name.lower() == USER.lower() for name, _ in shape)
        tokens = [b.bearer] if names_a_user else [b.bearer, ((USER, b.run.token),)]
        for name, way in WAYS.items():
            expected = await b.direct(way, shape)
            for token in tokens:
                assert await b.proxied(way, (*token, *shape)) == expected, name


@pytest.mark.parametrize("shape", OVERLOOKED.values(), ids=OVERLOOKED)
async def test_what_the_api_server_would_overlook_is_refused_on_each_way(cluster: Cluster, shape: Headers) -> None:
    async with bench(cluster) as b:
        for name, way in WAYS.items():
            answer = await b.proxied(way, (*b.bearer, *shape))
            assert (answer.status, answer.body["reason"]) == (400, "BadRequest"), name


async def test_no_name_of_a_user_takes_the_place_of_the_token(cluster: Cluster) -> None:
    shapes: tuple[Headers, ...] = ((), ((USER, "jack"),), ((USER, "jack"), (GROUP, "system:masters")), ((USER, ""),))
    async with bench(cluster) as b:
        for shape in (*shapes, (("Authorization", ""), (USER, b.run.token)), (("Authorization", "Basic x"),)):
            for name, way in WAYS.items():
                assert (await b.proxied(way, shape)).status == 401, (shape, name)


async def test_the_operators_refusal_of_a_user_is_no_secret_of_the_cache(cluster: Cluster) -> None:
    """Reads of one path, at the same time: what one may have from the cache, another may not."""
    async with bench(cluster) as b:
        way = WAYS["cached read"]
        shapes = ((), ((USER, "jack"),)) * 20
        answers = await asyncio.gather(*(b.proxied(way, (*b.bearer, *shape)) for shape in shapes))
        assert [answer.status for answer in answers] == [200, 403] * 20
