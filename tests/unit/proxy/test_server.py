"""The proxy between a run and an API server: who is let in, and that everything arrives as it was sent."""

from __future__ import annotations

import asyncio
import gzip
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import WSMsgType, web
from multidict import CIMultiDict
from yarl import URL

from reconcile_runner.metrics import Metrics, ProxyAnswer
from tests.unit.proxy.bench import proxy_before

COUNTER = "reconcile_runner_proxy_requests_total"

DISCOVERY = {
    "/api/v1": {
        "resources": [
            {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["get", "list", "watch", "create"]},
            {"name": "pods/exec", "kind": "PodExecOptions", "namespaced": True, "verbs": ["create", "get"]},
        ]
    }
}


@dataclass
class Bench:
    """A proxy in front of a server that records what reaches it."""

    url: str
    token: str
    session: aiohttp.ClientSession
    seen: list[web.Request]
    bodies: list[bytes]
    release: asyncio.Event
    metrics: Metrics

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@asynccontextmanager
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    seen: list[web.Request] = []
    bodies: list[bytes] = []
    release, metrics = asyncio.Event(), Metrics()

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.path in DISCOVERY:
            return web.json_response(DISCOVERY[request.path])
        seen.append(request)
        bodies.append(await request.read())
        if "watch" in request.query:
            stream = web.StreamResponse()
            await stream.prepare(request)
            await stream.write(b"first\n")
            await release.wait()
            await stream.write(b"second\n")
            return stream
        if request.path.endswith("/exec"):
            socket = web.WebSocketResponse(protocols=["v4.channel.k8s.io"])
            await socket.prepare(request)
            async for message in socket:
                if message.type is WSMsgType.BINARY:
                    await socket.send_bytes(b"echo " + message.data)
                    await socket.close()
            return socket
        if request.path.endswith("/gzip"):
            return web.Response(body=gzip.compress(b"packed"), headers={"Content-Encoding": "gzip"})
        return web.Response(status=409, text="conflict", headers={"Warning": '299 - "careful"', "Audit-Id": "7"})

    application = web.Application(client_max_size=0)
    application.router.add_route("*", "/{path:.*}", serve)
    upstream = web.AppRunner(application, shutdown_timeout=1.0, max_line_size=2**20, max_field_size=2**20)
    await upstream.setup()
    await web.TCPSite(upstream, "127.0.0.1", 0).start()
    server = f"http://127.0.0.1:{upstream.addresses[0][1]}"
    try:
        async with (
            proxy_before(server, tmp_path, metrics) as (url, token),
            aiohttp.ClientSession() as session,
        ):
            yield Bench(url, token, session, seen, bodies, release, metrics)
    finally:
        await upstream.cleanup()


async def test_without_a_runs_token_nothing_passes(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        for headers in ({}, {"Authorization": "Bearer guess"}, {"Authorization": f"Basic {b.token}"}):
            async with b.session.get(f"{b.url}/api", headers=headers) as answer:
                assert answer.status == 401
                assert (await answer.json())["kind"] == "Status"
        assert b.seen == []


async def test_requests_are_counted_by_where_their_answer_came_from(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.session.get(f"{b.url}/api", headers=b.headers())
        await b.session.get(f"{b.url}/api")
        await b.session.get(f"{b.url}/api", headers={"Authorization": "Bearer guess"})
        counted = {answer: b.metrics.registry.get_sample_value(COUNTER, {"answer": answer}) for answer in ProxyAnswer}
        assert counted == {ProxyAnswer.API_SERVER: 1, ProxyAnswer.REFUSED: 2, ProxyAnswer.CACHE: None}


async def test_the_operators_credentials_go_up_and_the_runs_do_not(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.session.get(f"{b.url}/api", headers=b.headers())
        assert b.seen[0].headers["Authorization"] == "Bearer the-operators-own"
        assert b.token not in str(b.seen[0].headers)


async def test_a_client_in_go_shows_its_token_as_the_user_that_it_impersonates(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        async with b.session.get(f"{b.url}/api", headers={"Impersonate-User": b.token}) as answer:
            assert answer.status == 409
        async with b.session.get(f"{b.url}/api", headers={**b.headers(), "Impersonate-User": b.token}) as answer:
            assert answer.status == 409
        async with b.session.get(f"{b.url}/api", headers={"Impersonate-User": "jack"}) as answer:
            assert answer.status == 401
        assert [("Impersonate-User" in request.headers, b.token in str(request.headers)) for request in b.seen] == [
            (False, False)
        ] * 2


async def test_whom_a_role_impersonates_is_passed_on(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        groups = [("Impersonate-Group", "readers"), ("Impersonate-Group", "writers")]
        headers = CIMultiDict([*b.headers().items(), ("Impersonate-User", "jack"), *groups])
        await b.session.get(f"{b.url}/api", headers=headers)
        assert b.seen[0].headers["Impersonate-User"] == "jack"
        assert b.seen[0].headers.getall("Impersonate-Group") == ["readers", "writers"]


async def test_method_path_query_headers_and_body_arrive_as_they_were_sent(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        headers = {**b.headers(), "Content-Type": "application/merge-patch+json", "Accept": "application/json;as=Table"}
        target = "/api/v1/namespaces/n/pods/a%2Fb?dryRun=All&fieldSelector=metadata.name%3Da%2Cx"
        url = URL(b.url + target, encoded=True)
        async with b.session.patch(url, data=b'{"a": 1}', headers=headers) as answer:
            assert (answer.status, await answer.text()) == (409, "conflict")
            assert (answer.headers["Warning"], answer.headers["Audit-Id"]) == ('299 - "careful"', "7")
        (request,) = b.seen
        assert (request.method, request.raw_path) == ("PATCH", target)
        assert request.headers["Content-Type"] == "application/merge-patch+json"
        assert request.headers["Accept"] == "application/json;as=Table"
        assert b.bodies == [b'{"a": 1}']


async def test_a_label_selector_may_be_as_long_as_the_api_server_takes_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        target = f"/api/v1/namespaces/n/pods?labelSelector={'app+in+%28' + 'x%2C' * 50_000 + 'y%29'}"
        headers = {**b.headers(), "X-Long": "x" * 50_000}
        async with b.session.get(URL(b.url + target, encoded=True), headers=headers) as answer:
            assert answer.status == 409
        assert b.seen[0].raw_path == target


async def test_a_body_of_many_megabytes_passes(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        async with b.session.post(f"{b.url}/big", data=io.BytesIO(b"x" * 3_000_000), headers=b.headers()) as answer:
            assert answer.status == 409
        assert len(b.bodies[0]) == 3_000_000


async def test_a_compressed_answer_stays_compressed(tmp_path: Path) -> None:
    async with bench(tmp_path) as b, b.session.get(f"{b.url}/gzip", headers=b.headers()) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert await answer.read() == b"packed"


async def test_a_watch_is_passed_on_as_it_happens(tmp_path: Path) -> None:
    async with bench(tmp_path) as b, b.session.get(f"{b.url}/api?watch=1", headers=b.headers()) as answer:
        assert await answer.content.readline() == b"first\n"
        b.release.set()
        assert await answer.content.readline() == b"second\n"


async def test_exec_passes_as_a_websocket(tmp_path: Path) -> None:
    async with (
        bench(tmp_path) as b,
        b.session.ws_connect(
            f"{b.url}/api/v1/namespaces/n/pods/p/exec", headers=b.headers(), protocols=["v4.channel.k8s.io"]
        ) as socket,
    ):
        assert socket.protocol == "v4.channel.k8s.io"
        await socket.send_bytes(b"\x00hello")
        assert (await socket.receive()).data == b"echo \x00hello"


async def test_an_api_server_that_does_not_answer_is_a_502_status(tmp_path: Path) -> None:
    async with proxy_before("http://127.0.0.1:9", tmp_path) as (url, token), aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {token}"}
        for method, path in (("GET", "/api"), ("GET", "/api/v1/pods/p"), ("POST", "/api/v1/pods")):
            async with session.request(method, f"{url}{path}", headers=headers) as answer:
                assert answer.status == 502
                assert "127.0.0.1:9" in (await answer.json())["message"]
