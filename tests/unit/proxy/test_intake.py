"""What one run sends costs itself: its bodies are bounded in memory, and nothing of them keeps the event loop."""

from __future__ import annotations

import asyncio
import io
import random
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from reconcile_runner.proxy.intake import MAX_BODY_BYTES, HeldBytes
from tests.support.heartbeat import heartbeat
from tests.unit.proxy.bench import proxy_before

THINGS = "/apis/g/v1/namespaces/n/things"
VERBS = ["get", "list", "watch", "create", "patch", "delete", "deletecollection"]
DISCOVERY = {"resources": [{"name": "things", "kind": "Thing", "namespaced": True, "verbs": VERBS}]}
MEGABYTE, CHUNK = 2**20, 2**16
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
PROTOBUF = "application/vnd.kubernetes.protobuf"
LARGEST_SHARE = 0.5
"""Of the work, in one turn of the event loop. Where that does the reading itself, it is nearly all."""


@dataclass
class Bench:
    """A run before a server that counts the bytes of bodies, and answers with ``answer``."""

    url: str
    token: str
    session: aiohttp.ClientSession
    received: int = 0
    answer: bytes = b"{}"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/apis/g/v1":
            return web.json_response(DISCOVERY)
        async for chunk in request.content.iter_any():
            self.received += len(chunk)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(self.answer)
        await response.prepare(request)
        for start in range(0, len(self.answer), CHUNK):
            await response.write(self.answer[start : start + CHUNK])
        return response

    async def call(self, method: str, body: bytes | AsyncIterator[bytes], content_type: str) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": content_type}
        data = io.BytesIO(body) if isinstance(body, bytes) else body
        async with self.session.request(method, f"{self.url}{THINGS}", data=data, headers=headers) as answer:
            return answer.status, await answer.read()


@asynccontextmanager
async def bench(directory: Path) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as parts:
        session = await parts.enter_async_context(aiohttp.ClientSession())
        made = Bench("", "", session)
        application = web.Application(client_max_size=0)
        application.router.add_route("*", "/{path:.*}", made.serve)
        upstream = web.AppRunner(application, shutdown_timeout=1.0)
        await upstream.setup()
        parts.push_async_callback(upstream.cleanup)
        await web.TCPSite(upstream, "127.0.0.1", 0).start()
        server = f"http://127.0.0.1:{upstream.addresses[0][1]}"
        made.url, made.token = await parts.enter_async_context(proxy_before(server, directory))
        yield made


@contextmanager
def growing_by_at_most(megabytes: int) -> Iterator[None]:
    tracemalloc.start(1)
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (peak - before) // MEGABYTE <= megabytes


async def megabytes(count: int) -> AsyncIterator[bytes]:
    chunk = b" " * MEGABYTE
    for _ in range(count):
        yield chunk
        await asyncio.sleep(0)


async def test_a_body_of_500_megabytes_that_creates_something_is_refused_and_never_held(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        with growing_by_at_most(24):
            status, text = await b.call("POST", megabytes(500), "application/json")
        assert status == 413
        assert b"Request entity too large: limit is 3145728" in text
        assert b.received == 0


async def test_a_body_that_says_that_it_is_too_large_is_not_read(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        assert (await b.call("POST", b" " * (MAX_BODY_BYTES + 1), "application/json"))[0] == 413
        assert (await b.call("POST", b"{}" + b" " * (MAX_BODY_BYTES - 2), "application/json"))[0] == 200


async def test_a_body_to_which_no_owner_is_added_passes_as_it_comes(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        with growing_by_at_most(24):
            assert (await b.call("PATCH", megabytes(60), MERGE))[0] == 200
        assert b.received == 60 * MEGABYTE


async def test_the_answer_to_a_deletion_of_many_is_not_held(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.answer = b" " * (30 * MEGABYTE)
        headers = {"Authorization": f"Bearer {b.token}"}
        async with b.session.delete(f"{b.url}{THINGS}", headers=headers) as answer:
            with growing_by_at_most(12):
                length = sum([len(chunk) async for chunk in answer.content.iter_any()])
        assert length == 30 * MEGABYTE


def bomb(lines: int) -> bytes:
    """Return YAML of which each line stands for ten times as much as the one before."""
    text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for line in range(1, lines):
        text += f"a{line}: &a{line} [{', '.join([f'*a{line - 1}'] * 10)}]\n"
    return text.encode()


@pytest.mark.parametrize("content_type", ["application/yaml", APPLY])
async def test_yaml_that_would_grow_is_refused_with_the_reason(tmp_path: Path, content_type: str) -> None:
    method = "PATCH" if content_type == APPLY else "POST"
    async with bench(tmp_path) as b:
        with growing_by_at_most(12):
            status, text = await b.call(method, bomb(5), content_type)
        assert (status, b"aliases are not taken" in text, b.received) == (400, True, 0)


LARGE = {
    "yaml": (
        "application/yaml",
        b"a:\n" + b"".join(b"  k%d: {a: 1, b: [x, y]}\n" % number for number in range(6_000)),
    ),
    "yaml of many values": ("application/yaml", b"a: [" + b"1, " * (MEGABYTE // 6) + b"]"),
    "json with a deep field": (
        "application/json",
        b'{"metadata":{"a":'
        + b"[" * 1000
        + b"]" * 1000
        + b"".join(b',"k%d":[]' % number for number in range(30_000))
        + b"}}",
    ),
    "protobuf": (PROTOBUF, b"k8s\x00\x12\x80\x80\x20" + b"\x1a\x00" * (MEGABYTE // 4)),
}


@pytest.mark.parametrize(("content_type", "body"), LARGE.values(), ids=LARGE)
async def test_what_takes_long_to_read_does_not_keep_the_event_loop(
    tmp_path: Path, content_type: str, body: bytes
) -> None:
    async with bench(tmp_path) as b, heartbeat() as measured:
        await b.call("POST", body, content_type)
    assert measured.share < LARGEST_SHARE


async def test_an_answer_with_many_fields_of_which_one_is_deep_does_not_keep_the_event_loop(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        b.answer = LARGE["json with a deep field"][1]
        async with heartbeat() as measured:
            assert await b.call("POST", b"{}", "application/json") == (200, b.answer)
    assert measured.share < LARGEST_SHARE


@pytest.mark.parametrize("seed", range(20))
async def test_held_bytes_are_bounded_in_all_and_for_each_run_and_everybody_gets_theirs(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 a test that can be repeated
    held, by_run, most = HeldBytes(total=100, share=30), dict.fromkeys("abcdef", 0), 0

    async def use(run: str, count: int, turns: int) -> None:
        nonlocal most
        async with held.hold(run, count):
            by_run[run] += count
            most = max(most, sum(by_run.values()))
            assert sum(by_run.values()) <= held.held <= 100
            assert by_run[run] <= 30
            try:
                for _ in range(turns):
                    await asyncio.sleep(0)
            finally:
                by_run[run] -= count

    uses = [(chance.choice("abcdef"), chance.randint(0, 30), chance.randint(0, 5)) for _ in range(200)]
    tasks = [asyncio.create_task(use(*one)) for one in uses]
    for task in chance.sample(tasks, 40):
        await asyncio.sleep(0)
        if chance.random() < 0.3:
            task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [one for one in done if isinstance(one, AssertionError)] == []
    assert most > 60
    async with held.hold("a", 30):
        assert held.held == 30


async def test_a_run_that_has_its_share_keeps_no_other_run_waiting() -> None:
    held = HeldBytes(total=100, share=30)
    async with held.hold("a", 30):
        waiting = asyncio.create_task(held.hold("a", 1).__aenter__())
        await asyncio.sleep(0)
        async with held.hold("b", 30):
            assert not waiting.done()
    async with asyncio.timeout(5):
        await waiting
