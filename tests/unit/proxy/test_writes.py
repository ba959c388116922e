"""Writes that do not go as planned; the planned ones are in the integration tests, on a real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import pytest_asyncio

from reconcile_runner.apimachinery.objects import KubeObject
from tests.support.fakes.faultserver import Exchange, FaultServer, answering
from tests.support.fakes.wire import status
from tests.unit.proxy.bench import OWNER, proxy_before

THINGS = "/apis/g/v1/namespaces/n/things"
ONE = f"{THINGS}/one"
APPLY = "application/apply-patch+yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
VERBS = ["get", "list", "watch", "create", "patch"]
RESOURCES = {"resources": [{"name": "things", "kind": "Thing", "namespaced": True, "verbs": VERBS}]}
REFERENCE = {"apiVersion": "g/v1", "kind": "K", "name": "a", "uid": "u"}
THING = {"apiVersion": "g/v1", "kind": "Thing", "metadata": {"name": "one"}}


@dataclass
class Bench:
    """A run before a server that a test makes go wrong."""

    server: FaultServer
    url: str
    token: str
    session: aiohttp.ClientSession

    async def call(
        self,
        method: str,
        path: str,
        body: KubeObject | bytes,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type, "Accept": accept}
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        async with self.session.request(method, self.url + path, data=data, headers=headers) as answer:
            text = await answer.read()
            return answer.status, orjson.loads(text) if text.startswith(b"{") else None

    def bodies(self, method: str) -> list[Any]:
        return [orjson.loads(request.body) for request in self.server.requests if request.method == method]


@pytest_asyncio.fixture
async def b(server: FaultServer, tmp_path: Path) -> AsyncIterator[Bench]:
    server.on("/apis/g/v1", answering(200, RESOURCES))
    async with proxy_before(server.url, tmp_path) as (url, token), aiohttp.ClientSession() as session:
        yield Bench(server, url, token, session)


def by_method(**answers: Any) -> Any:
    """Return a handler that answers each method in its own way."""

    async def handle(exchange: Exchange) -> None:
        code, body = answers[exchange.request.method.lower()]
        await exchange.answer(code, body)

    return handle


def marked(obj: KubeObject) -> KubeObject:
    return {**obj, "metadata": {**obj["metadata"], "ownerReferences": [REFERENCE]}}


async def test_an_apply_asks_once_whether_it_creates(b: Bench) -> None:
    b.server.on(ONE, by_method(get=(404, status(404, "NotFound")), patch=(201, marked(THING))))
    assert await b.call("PATCH", ONE, THING, APPLY) == (201, marked(THING))
    assert b.bodies("PATCH") == [marked(THING)]


async def test_an_apply_that_created_after_all_is_said_once_more_with_the_owner(b: Bench) -> None:
    b.server.on(ONE, by_method(get=(200, THING), patch=(201, THING)))
    assert (await b.call("PATCH", ONE, THING, APPLY))[0] == 201
    assert b.bodies("PATCH") == [THING, marked(THING)]


async def test_an_apply_to_somebody_elses_object_is_passed_on_byte_by_byte(b: Bench) -> None:
    b.server.on(ONE, by_method(get=(200, THING), patch=(200, THING)))
    text = b'{ "apiVersion":"g/v1", "kind": "Thing","metadata":{"name":"one"}}'
    await b.call("PATCH", ONE, text, APPLY)
    assert b.server.requests[-1].body == text
    assert b.server.requests[-1].headers["content-type"] == APPLY


async def test_an_apply_is_not_sent_where_it_cannot_be_told_whose_the_object_is(b: Bench) -> None:
    b.server.on(ONE, by_method(get=(403, status(403, "Forbidden", "you may not")), patch=(201, THING)))
    assert (await b.call("PATCH", ONE, THING, APPLY))[0] == 403
    assert b.bodies("PATCH") == []


async def test_nothing_is_created_while_it_cannot_be_told_what_it_is(b: Bench) -> None:
    b.server.on("/apis/g/v1", answering(503, status(503, "ServiceUnavailable")))
    assert (await b.call("POST", THINGS, THING))[0] == 503
    assert b.bodies("POST") == []


async def test_an_encoding_that_cannot_be_read_is_refused_as_the_api_server_refuses_it(b: Bench) -> None:
    code, answer = await b.call("POST", THINGS, b"\xd9\xd9\xf7", "application/cbor")
    assert (code, answer["reason"], answer["code"]) == (415, "UnsupportedMediaType", 415)
    assert b.bodies("POST") == []


@pytest.mark.parametrize(
    ("accept", "sent"),
    [
        (f"{PROTOBUF},application/json", "application/json"),
        (f"{PROTOBUF}, */*", "application/json"),
        ("application/cbor, application/json;q=0.5", "application/json"),
        (PROTOBUF, PROTOBUF),
        ("application/json;as=Table, */*", "application/json;as=Table, */*"),
    ],
)
async def test_an_answer_is_asked_for_as_json_where_the_run_takes_that(b: Bench, accept: str, sent: str) -> None:
    b.server.on(THINGS, answering(201, THING))
    await b.call("POST", THINGS, THING, accept=accept)
    assert b.server.requests[-1].headers["accept"] == sent


async def test_protobuf_that_is_none_is_for_the_api_server_to_refuse(b: Bench) -> None:
    b.server.on(THINGS, answering(400, status(400, "BadRequest")))
    assert (await b.call("POST", THINGS, b"k8s\x00\x12\x7f", PROTOBUF))[0] == 400
    assert b.server.requests[-1].body == b"k8s\x00\x12\x7f"


async def test_yaml_is_sent_as_json(b: Bench) -> None:
    b.server.on(THINGS, answering(201, THING))
    await b.call("POST", THINGS, b"metadata:\n  name: one\n", "application/yaml")
    assert b.server.requests[-1].headers["content-type"] == "application/json"
    assert b.bodies("POST") == [marked({"metadata": {"name": "one"}})]


async def test_a_kind_that_discovery_does_not_know_is_the_api_servers_to_refuse(b: Bench) -> None:
    path = "/apis/g/v1/namespaces/n/unknowns"
    b.server.on(path, answering(404, status(404, "NotFound")))
    assert (await b.call("POST", path, THING))[0] == 404
    assert b.bodies("POST") == [THING]


async def test_a_write_on_the_owner_itself_makes_it_not_its_own_dependent(b: Bench) -> None:
    entry = {"name": "ks", "kind": OWNER.gvk.kind, "namespaced": True, "verbs": VERBS}
    b.server.on("/apis/g/v1", answering(200, {"resources": [entry]}))
    path = f"/apis/g/v1/namespaces/n/ks/{OWNER.key.name}"
    b.server.on(path, by_method(patch=(200, THING)))
    await b.call("PATCH", path, THING, APPLY)
    assert b.bodies("PATCH") == [THING]


async def test_an_answer_that_breaks_off_is_a_502(b: Bench) -> None:
    async def cut(exchange: Exchange) -> None:
        await exchange.head(201, {"Content-Length": "100"})
        await exchange.raw(b"{")
        exchange.cut()

    b.server.on(THINGS, cut)
    async with asyncio.timeout(20):
        assert (await b.call("POST", THINGS, THING))[0] == 502
