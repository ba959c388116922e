"""Watches over HTTP: each way in which one was seen to go wrong."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import orjson
import pytest

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.client import HttpClient, WatchEventType
from reconcile_runner.errors import ApiError, ApiUnreachableError, GoneError
from tests.support.fakes.faultserver import Exchange, FaultServer, answering, streaming
from tests.support.fakes.wire import ADDED, PATH, SHORT, line, status, watched


async def test_a_watch_yields_events_until_its_clean_end(server: FaultServer, client: HttpClient) -> None:
    bookmark = line("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
    server.on(PATH, streaming(ADDED, b"\n", bookmark))
    events = await watched(client)
    assert [event.type for event in events] == [WatchEventType.ADDED, WatchEventType.BOOKMARK]
    assert events[0].object == {"metadata": {"name": "a"}}
    assert server.requests[0].target == f"{PATH}?resourceVersion=1&watch=true"


async def test_on_open_is_called_before_the_first_event(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, streaming(then="hang"))
    opened = asyncio.Event()

    async def watch_for_ever() -> None:
        async with aclosing(client.watch(PATH, {}, on_open=opened.set)) as events:
            await anext(events)

    task = asyncio.create_task(watch_for_ever(), name="first event")
    async with asyncio.timeout(5):
        await opened.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("chunks", "then"),
    [
        ((ADDED, ADDED[:-9]), "end"),
        ((ADDED, ADDED[:-9]), "cut"),
        ((ADDED,), "cut"),
        ((ADDED, b"<html>502</html>\n"), "end"),
        ((ADDED, b'{"type": "ADDED"}\n'), "end"),
        ((ADDED, b'{"type": "SURPRISE", "object": {}}\n'), "end"),
        ((ADDED, b'{"type": "ADDED", "object": "text"}\n'), "end"),
        ((ADDED, b"[]\n"), "end"),
        ((ADDED,), "hang"),
    ],
    ids=[
        "line truncated at a clean end",
        "line truncated by a cut",
        "cut between lines",
        "HTML in the stream",
        "event without object",
        "unknown type",
        "object that is none",
        "list",
        "black hole",
    ],
)
async def test_a_watch_that_breaks_off_keeps_what_came_before(
    server: FaultServer, client: HttpClient, chunks: tuple[bytes, ...], then: str
) -> None:
    server.on(PATH, streaming(*chunks, then=then))
    async with aclosing(client.watch(PATH, {}, stall_timeout=5 * SHORT)) as events:
        assert (await anext(events)).type is WatchEventType.ADDED
        with pytest.raises(ApiUnreachableError, match=server.url):
            await anext(events)


async def test_utf_8_split_byte_by_byte_is_put_together(server: FaultServer, client: HttpClient) -> None:
    text = line("ADDED", {"metadata": {"name": "äß€😀"}})
    server.on(PATH, streaming(*(text[i : i + 1] for i in range(len(text)))))
    assert [event.object["metadata"]["name"] for event in await watched(client)] == ["äß€😀"]


async def test_a_line_of_9_mib_is_read(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, streaming(line("ADDED", {"data": "x" * 9 * 2**20}), ADDED))
    assert [len(orjson.dumps(event.object)) > 9 * 2**20 for event in await watched(client)] == [True, False]


async def test_a_line_beyond_all_limits_is_an_error_and_not_memory_without_end(
    server: FaultServer, client: HttpClient
) -> None:
    server.on(PATH, streaming(*([b"x" * 2**20] * 18), then="hang"))
    with pytest.raises(ApiUnreachableError):
        await watched(client)


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (status(410, "Expired"), GoneError),
        ({"kind": "Status", "code": 410}, GoneError),
        ({"kind": "Status", "code": 500}, ApiError),
        ({}, ApiError),
    ],
    ids=["410", "410 without reason", "500 without reason", "empty"],
)
async def test_an_error_in_the_stream_is_raised(
    server: FaultServer, client: HttpClient, obj: KubeObject, expected: type[ApiError]
) -> None:
    server.on(PATH, streaming(ADDED, line("ERROR", obj), then="hang"))
    with pytest.raises(ApiError) as caught:
        await watched(client)
    assert type(caught.value) is expected


async def test_gone_as_an_answer_is_raised(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, answering(410, status(410, "Expired")))
    with pytest.raises(GoneError):
        await watched(client)


async def test_bookmarks_keep_a_quiet_watch_alive(server: FaultServer, client: HttpClient) -> None:
    async def bookmark_before_each_stall(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for _ in range(5):
            await asyncio.sleep(SHORT / 2)
            await exchange.event("BOOKMARK", {"metadata": {"resourceVersion": "1"}})
        await exchange.end_stream()

    server.on(PATH, bookmark_before_each_stall)
    assert len(await watched(client, stall_timeout=4 * SHORT)) == 5


async def test_a_closed_watch_closes_its_connection(server: FaultServer, client: HttpClient) -> None:
    closed = asyncio.Event()

    async def until_closed(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.chunk(ADDED)
        try:
            while True:
                await exchange.chunk(b"\n")
                await asyncio.sleep(0.01)
        except ConnectionError:
            closed.set()
            raise

    server.on(PATH, until_closed)
    async with aclosing(client.watch(PATH, {})) as events:
        await anext(events)
    async with asyncio.timeout(5):
        await closed.wait()


async def test_a_burst_of_events_lets_other_tasks_run(server: FaultServer, client: HttpClient) -> None:
    burst = line("ADDED", {"data": "x" * 1000}) * 4000
    server.on(PATH, streaming(burst))
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(take_turns(), name="other")
    async with aclosing(client.watch(PATH, {})) as events:
        await anext(events)
        before = turns
        # All of it is in the buffer by now, or nearly so: nothing but the client's own pauses lets the other task run.
        await asyncio.sleep(0.2)
        turns = before = 0
        count = sum([1 async for _ in events])
    other.cancel()
    assert count == 3999
    assert turns - before >= 10


async def test_any_number_of_watches_leaves_room_for_requests(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, streaming(then="hang"))
    server.on("/version", answering(200, {"major": "1"}))
    opened = asyncio.Semaphore(0)

    async def watch_for_ever() -> None:
        async with aclosing(client.watch(PATH, {}, on_open=opened.release)) as events:
            await anext(events)

    watches = [asyncio.create_task(watch_for_ever(), name="watch") for _ in range(150)]
    async with asyncio.timeout(30):
        for _ in watches:
            await opened.acquire()
        assert await client.get("/version") == {"major": "1"}
    for watch in watches:
        watch.cancel()
    assert await asyncio.gather(*watches, return_exceptions=True)
