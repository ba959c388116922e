"""When a run ends, everything that it has open through the proxy ends: its token counts for the length of a use.

What a kubelet would serve (logs, exec) is served here by a listener of the test's own, to which the API server connects
as to a node's kubelet.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Collection
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from yarl import URL

from reconcile_devcluster.cluster import Cluster
from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.client import HttpClient, PatchType
from reconcile_runner.errors import ConflictError, NotFoundError
from reconcile_runner.proxy import Owner
from tests.support.fakes.certificates import write_certificate
from tests.support.proxying import Proxied, Run, proxied
from tests.support.watching import until

pytestmark = pytest.mark.timeout(120)

OWNER = Owner(GroupVersionKind("runend.test", "v1", "Owner"), ObjectKey("default", "owner"), "no-such-uid")
NODE = "run-end"
PODS = "/api/v1/namespaces/default/pods"
POD = f"{PODS}/run-end"
MAPS = "/api/v1/namespaces/default/configmaps"
WATCH = f"{MAPS}?watch=1&fieldSelector=metadata.name=none&timeoutSeconds=600"
LOG = f"{POD}/log?follow=true"
EXEC = f"{POD}/exec?command=cat&stdin=true&stdout=true"
FORWARD = f"{POD}/portforward?ports=80"
STREAMS = 300
BIG = 12
"""Objects of 1 MB in an answer, more than the sockets of a connection hold."""
CONFIG_MAP = GroupVersionKind("", "v1", "ConfigMap")

WEBSOCKET = (
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol: v4.channel.k8s.io",
)
SPDY = ("Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io")
SPDY_FORWARD = ("Upgrade: SPDY/3.1", "X-Stream-Protocol-Version: portforward.k8s.io")


@dataclass
class Kubelet:
    """Begins every answer and ends none; counts the connections that it serves."""

    port: int = 0
    open: int = 0
    served: int = 0
    received: bytearray = field(default_factory=bytearray)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.create_task(self._serve(reader, writer), name="kubelet"))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        self.open += 1
        self.served += 1
        try:
            writer.write(_begin(head))
            while data := await reader.read(2**16):
                self.received += data
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()


def _begin(head: str) -> bytes:
    """Return the beginning of an answer: agreement to an upgrade, or a log's first line."""
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])}
    if "upgrade" not in fields:
        return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst\n\r\n"
    lines = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", f"Upgrade: {fields['upgrade']}"]
    if protocol := fields.get("x-stream-protocol-version"):
        lines.append(f"X-Stream-Protocol-Version: {protocol}")
    return "\r\n".join([*lines, "", ""]).encode()


@dataclass
class Bench:
    """An operator's proxy and a kubelet."""

    operating: Proxied
    kubelet: Kubelet
    runs: ExitStack = field(default_factory=ExitStack)

    def begin(self) -> Run:
        return self.runs.enter_context(self.operating.run_for(OWNER))

    def end(self) -> None:
        """End all runs that were begun."""
        self.runs.close()


@asynccontextmanager
async def bench(cluster: Cluster, directory: Path, *cached: GroupVersionKind) -> AsyncIterator[Bench]:
    write_certificate(directory, NODE)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    kubelet = Kubelet()
    server = await asyncio.start_server(kubelet.accept, "127.0.0.1", 0, ssl=tls)
    kubelet.port = server.sockets[0].getsockname()[1]
    async with proxied(cluster.kubeconfig, whole=cached) as operating:
        await make_pod(operating.client, kubelet.port)
        made = Bench(operating, kubelet)
        try:
            yield made
        finally:
            made.end()
            server.close()
            for task in kubelet.tasks:
                task.cancel()
            await asyncio.gather(*kubelet.tasks, return_exceptions=True)


async def make_pod(client: HttpClient, port: int) -> None:
    """Make a node whose kubelet is at a port, and a Pod that runs there."""
    objects: tuple[tuple[str, KubeObject], ...] = (
        ("/api/v1/nodes", {"metadata": {"name": NODE}}),
        ("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}}),
        (
            PODS,
            {
                "metadata": {"name": "run-end"},
                "spec": {"nodeName": NODE, "containers": [{"name": "main", "image": "none"}]},
            },
        ),
    )
    for path, obj in objects:
        with contextlib.suppress(ConflictError):
            await client.create(path, obj)
    kubelet = {
        "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    await client.patch(f"/api/v1/nodes/{NODE}/status", {"status": kubelet}, patch_type=PatchType.MERGE)
    running = {"phase": "Running", "containerStatuses": [_RUNNING]}
    await client.patch(f"{POD}/status", {"status": running}, patch_type=PatchType.MERGE)


_RUNNING = {
    "name": "main",
    "image": "none",
    "imageID": "none",
    "containerID": "none://1",
    "ready": True,
    "restartCount": 0,
    "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
}


@dataclass(frozen=True)
class Use:
    """What a run has open: a raw connection, after the answer began."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def end(self) -> bytes:
        """Return what arrives until the proxy ends the connection."""
        try:
            return await asyncio.wait_for(self.reader.read(), 30)
        except ConnectionError:
            return b""
        finally:
            self.writer.close()


async def send(run: Run, method: str, target: str, lines: tuple[str, ...], body: bytes = b"") -> Use:
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(run.url).port, limit=2**20)
    head = [f"{method} {target} HTTP/1.1", "Host: x", f"Authorization: Bearer {run.token}", *lines, "", ""]
    writer.write("\r\n".join(head).encode() + body)
    await writer.drain()
    return Use(reader, writer)


async def opened(run: Run, method: str, target: str, lines: tuple[str, ...], status: int) -> Use:
    """Send a request and wait until its answer has begun."""
    use = await send(run, method, target, lines)
    head = (await use.reader.readuntil(b"\r\n\r\n")).decode()
    assert head.startswith(f"HTTP/1.1 {status} "), head
    return use


def upgrade(*lines: str) -> tuple[str, ...]:
    return ("Connection: Upgrade", "Content-Length: 0", *lines)


STREAMED = {
    "watch": ("GET", WATCH, (), 200),
    "log -f": ("GET", LOG, (), 200),
    "exec over WebSocket": ("GET", EXEC, upgrade(*WEBSOCKET), 101),
    "exec over SPDY": ("POST", EXEC, upgrade(*SPDY), 101),
    "attach over SPDY": ("POST", EXEC.replace("/exec?command=cat&", "/attach?"), upgrade(*SPDY), 101),
    "port-forward": ("POST", FORWARD, upgrade(*SPDY_FORWARD), 101),
}


@pytest.mark.parametrize(("method", "target", "lines", "status"), STREAMED.values(), ids=STREAMED)
async def test_what_streams_ends_with_its_run(
    cluster: Cluster, tmp_path: Path, method: str, target: str, lines: tuple[str, ...], status: int
) -> None:
    async with bench(cluster, tmp_path) as b:
        with b.operating.run_for(OWNER) as other:
            kept = await opened(other, method, target, lines, status)
            use = await opened(b.begin(), method, target, lines, status)
            served = b.kubelet.open
            b.end()
            await use.end()
            if served:
                await until(lambda: b.kubelet.open == served - 1, "the kubelet has one connection less")
            kept.writer.write(b"")
            assert not kept.reader.at_eof(), "another run's goes on"
        await kept.end()
        await until(lambda: b.kubelet.open == 0, "the kubelet has no connection")


@pytest.mark.parametrize("framing", ["Content-Length: {size}", "Transfer-Encoding: chunked"], ids=["length", "chunks"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_half_sent_body_goes_no_further(cluster: Cluster, tmp_path: Path, method: str, framing: str) -> None:
    name = f"half-{method.lower()}-{len(framing)}"
    body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).encode()
    wire = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if "chunked" in framing else body
    content_type = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
    lines = (f"Content-Type: {content_type}", "Expect: 100-continue", framing.format(size=len(body)))
    target = MAPS if method == "POST" else f"{MAPS}/{name}?fieldManager=role"
    async with bench(cluster, tmp_path) as b:
        use = await send(b.begin(), method, target, lines, wire[:20])
        assert await use.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n", "the proxy reads on"
        b.end()
        with contextlib.suppress(ConnectionError):
            use.writer.write(wire[20:])
            await use.writer.drain()
        assert await use.end() == b"", "no answer"
        with pytest.raises(NotFoundError):
            await b.operating.client.get(f"{MAPS}/{name}")


@pytest.mark.parametrize("lines", [(), ("Cache-Control: no-cache",)], ids=["from the cache", "as it comes"])
async def test_an_answer_that_its_run_does_not_read_ends_too(
    cluster: Cluster, tmp_path: Path, lines: tuple[str, ...]
) -> None:
    """A peer that reads nothing keeps the proxy from closing politely."""
    async with bench(cluster, tmp_path, CONFIG_MAP) as b:
        for number in range(BIG):
            with contextlib.suppress(ConflictError):
                await b.operating.client.create(
                    MAPS, {"metadata": {"name": f"big-{number}"}, "data": {"a": "x" * 1_000_000}}
                )
        await until(lambda: len(cached_maps(b.operating)) >= BIG, "the cache has them")
        before = descriptors()
        run = b.begin()
        uses = [await send(run, "GET", MAPS, lines) for _ in range(3)]
        for use in uses:
            await use.reader.readuntil(b"\r\n\r\n")
        b.end()
        await until(lambda: descriptors() <= before + len(uses), "the run's own ends are all that is open")
        for use in uses:
            use.writer.transport.abort()


async def test_three_hundred_streams_are_closed_and_their_descriptors_back(cluster: Cluster, tmp_path: Path) -> None:
    async with bench(cluster, tmp_path) as b:
        before = descriptors()
        run = b.begin()
        kinds = list(STREAMED.values())
        uses = await asyncio.gather(*(opened(run, *kinds[number % len(kinds)]) for number in range(STREAMS)))
        assert descriptors() - before >= 3 * STREAMS, "the run's end, the proxy's two"
        b.end()
        await asyncio.gather(*(use.end() for use in uses))
        await until(lambda: b.kubelet.open == 0, "the kubelet has no connection")
        await until(lambda: descriptors() <= before, "the descriptors are back to before")


def cached_maps(operating: Proxied) -> Collection[ObjectKey]:
    view = operating.cache.view(CONFIG_MAP, "default", whole=True)
    return view.informer.keys() if view is not None else ()


def descriptors() -> int:
    """Count this process's open files; it holds the proxy, the run and the kubelet."""
    return len(list(Path("/proc/self/fd").iterdir()))
