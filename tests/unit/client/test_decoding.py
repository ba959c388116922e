"""What takes long to decode keeps nobody else waiting."""

from __future__ import annotations

from reconcile_runner.client import HttpClient
from tests.support.fakes.faultserver import FaultServer, answering, streaming
from tests.support.fakes.wire import PATH, watched
from tests.support.heartbeat import heartbeat

LARGEST_SHARE = 0.5
"""Of the work, in one turn of the event loop. Where that does the reading itself, it is nearly all."""
MANY_FIELDS = b"".join(b',"k%d":[]' % number for number in range(50_000))
LARGE = b'{"metadata":{"name":"a"},"status":{"deep":' + b"[" * 1000 + b"]" * 1000 + MANY_FIELDS + b"}}"


async def test_an_object_with_many_fields_of_which_one_is_deep(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, answering(200, LARGE))
    async with heartbeat() as measured:
        obj = await client.get(PATH)
    assert len(obj["status"]) == 50_001
    assert measured.share < LARGEST_SHARE


async def test_a_watch_event_of_such_an_object(server: FaultServer, client: HttpClient) -> None:
    server.on(PATH, streaming(b'{"type":"ADDED","object":' + LARGE + b"}\n"))
    async with heartbeat() as measured:
        (event,) = await watched(client, stall_timeout=60)
    assert len(event.object["status"]) == 50_001
    assert measured.share < LARGEST_SHARE
