"""What the tests of discovery and informer share: a cache of a real API server, kinds of their own, a relay."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.cache.cache import Cache, Informer
from reconcile_runner.cache.event import Event
from reconcile_runner.client import HttpClient, connect
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.clock import SystemClock
from reconcile_runner.errors import ApiError
from tools.testing.definitions import custom_resource_definition

DEADLINE = 30.0
"""Seconds until a condition that does not come true fails a test."""
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind that a test defines for itself, so that tests do not meet."""

    name: str

    @property
    def gvk(self) -> GroupVersionKind:
        return GroupVersionKind("watching.test", "v1", self.name)

    @property
    def plural(self) -> str:
        return f"{self.name.lower()}s"

    @property
    def crd_path(self) -> str:
        return f"{CRDS}/{self.plural}.watching.test"

    def path(self, namespace: str = "default") -> str:
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"/apis/watching.test/v1{scope}/{self.plural}"

    def object(self, name: str, friend: str = "jack") -> KubeObject:
        return {
            "apiVersion": "watching.test/v1",
            "kind": self.name,
            "metadata": {"name": name},
            "spec": {"name": friend},
        }

    async def install(self, client: HttpClient, *, namespaced: bool = True) -> None:
        """Create the CRD and wait until objects of the kind can be listed."""
        await client.create(CRDS, custom_resource_definition(self.gvk.group, self.name, namespaced=namespaced))
        await until(lambda: self._is_served(client, namespaced=namespaced), f"{self.name} is served")

    async def remove(self, client: HttpClient) -> None:
        """Delete the CRD and wait until it is gone with all of its objects."""
        await client.delete(self.crd_path)
        await until(lambda: _is_missing(client, self.crd_path), f"the CRD of {self.name} is gone")

    async def _is_served(self, client: HttpClient, *, namespaced: bool) -> bool:
        return not await _is_missing(client, self.path("default" if namespaced else ""))


async def _is_missing(client: HttpClient, path: str) -> bool:
    try:
        await client.get(path)
    except ApiError:
        return True
    return False


def pod(name: str) -> KubeObject:
    container = {"name": "main", "image": "none"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container], "automountServiceAccountToken": False},
    }


async def make_namespace(client: HttpClient, name: str) -> None:
    await client.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until ``condition`` (a function, may be async) is true; fail after the deadline saying what was awaited."""
    try:
        async with asyncio.timeout(DEADLINE):
            while True:
                result = condition()
                if await result if asyncio.iscoroutine(result) else result:
                    return
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE:.0f} s: {what}") from None


class Following:
    """A running cache, and every event of its kinds."""

    def __init__(self, client: HttpClient, namespaces: Collection[str]) -> None:
        clock = SystemClock()
        self.client = client
        self.discovery = Discovery(client, clock)
        self.cache = Cache(client, self.discovery, clock, namespaces)
        self.events: list[Event] = []

    def require(self, gvk: GroupVersionKind, *, whole: bool = True) -> Informer:
        kind = self.cache.get_informer(gvk, whole=whole, required=True)
        kind.add_event_handler(self.events.append)
        return kind

    def names(self, gvk: GroupVersionKind) -> set[str]:
        kind = self.cache.required_informer(gvk)
        assert kind is not None
        return {key.name for key in kind.keys()}  # noqa: SIM118 (a method of ours)

    def told(self) -> list[tuple[str, str]]:
        return [(event.type.value, event.object["metadata"]["name"]) for event in self.events]

    @property
    def connected(self) -> bool:
        health = self.cache.health()
        return bool(health) and all(informer.is_connected for informer in health)


@asynccontextmanager
async def following(
    kubeconfig: Path, *kinds: GroupVersionKind, whole: bool = True, namespaces: Collection[str] = ()
) -> AsyncIterator[Following]:
    """Run a cache of ``kinds`` until the end of the block. It may not be synced yet."""
    async with await connect(kubeconfig) as client:
        followed = Following(client, namespaces)
        for gvk in kinds:
            followed.require(gvk, whole=whole)
        tasks = [
            asyncio.create_task(followed.cache.run(), name="cache"),
            asyncio.create_task(followed.discovery.run(), name="discovery"),
        ]
        try:
            yield followed
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results), results


async def stored(client: HttpClient, path: str) -> dict[ObjectKey, str]:
    """Return the resourceVersion of every object at a path, as the API server has it now."""
    items = (await client.get(path))["items"]
    return {
        ObjectKey(item["metadata"].get("namespace", ""), item["metadata"]["name"]): item["metadata"]["resourceVersion"]
        for item in items
    }


def cached(kind: Informer) -> dict[ObjectKey, str]:
    """Return the same of a cache."""
    objects = ((key, kind.get(key)) for key in kind.keys())  # noqa: SIM118 (a method of ours)
    return {key: obj["metadata"]["resourceVersion"] for key, obj in objects if obj is not None}


async def in_parallel(calls: Iterable[Coroutine[object, object, object]]) -> None:
    """Await many calls, 20 at a time."""
    limit = asyncio.Semaphore(20)

    async def one(call: Coroutine[object, object, object]) -> None:
        async with limit:
            await call

    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(one(call))


class Relay:
    """Passes TCP between a client and the API server, and cuts every connection when asked to."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="relay")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection(*self._target)
        pair = {writer, onward_writer}
        self._writers |= pair
        try:
            await asyncio.gather(_pump(reader, onward_writer), _pump(onward_reader, writer))
        finally:
            self._writers -= pair
            for end in pair:
                end.transport.abort()
                with contextlib.suppress(OSError):
                    await end.wait_closed()

    async def close(self) -> None:
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(2**16):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@asynccontextmanager
async def relayed(kubeconfig: Path, directory: Path) -> AsyncIterator[tuple[Relay, Path]]:
    """Yield a relay to the API server of a kubeconfig, and a kubeconfig that goes through it."""
    async with await connect(kubeconfig) as client:
        target = urlsplit(client.server)
    relay = Relay(str(target.hostname), int(target.port or 443))
    server = await asyncio.start_server(relay.accept, "127.0.0.1", 0)
    try:
        yield relay, _redirected(kubeconfig, directory, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await relay.close()


def _redirected(kubeconfig: Path, directory: Path, port: int) -> Path:
    content = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    content["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    through = directory / "through-relay"
    through.write_text(yaml.safe_dump(content), encoding="utf-8")
    return through
