"""The surroundings of a measurement: a control plane of its own, the kinds, a client, and what it is told to create."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from reconcile_devcluster import crds
from reconcile_devcluster.binaries.finder import find_programs
from reconcile_devcluster.cluster import ClusterSpec
from reconcile_devcluster.controlplane import foreground
from reconcile_devcluster.progress import say
from reconcile_runner.apimachinery.objects import KubeObject, ObjectKey
from reconcile_runner.client import HttpClient, connect
from tools.bench import definitions
from tools.bench.report import Figures
from tools.testing.operator import REPOSITORY

CONCURRENCY = 20
"""Requests under way at once when many objects are created."""

_WHO = "bench"


@dataclass(frozen=True, slots=True)
class Session:
    """What every measurement needs. ``directory`` is for files of this run of the bench; it goes with it."""

    client: HttpClient
    kubeconfig: Path
    directory: Path
    figures: Figures = field(default_factory=Figures)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def new_name(self, prefix: str) -> str:
        """Return a name that was not used before."""
        return f"{prefix}-{next(self._numbers)}"

    async def create_namespace(self, name: str) -> None:
        """Create a namespace."""
        await self.client.create("/api/v1/namespaces", {"metadata": {"name": name}})

    async def create_foo(self, key: ObjectKey) -> None:
        """Create a Foo that looks for ``friend_of(key)``."""
        path = f"/apis/tutorial.my.domain/v1/namespaces/{key.namespace}/foos"
        await self.client.create(path, _foo(key))

    async def create_pod(self, key: ObjectKey) -> None:
        """Create a Pod. Nothing runs it: there is no scheduler."""
        spec = {"containers": [{"name": "c", "image": "none"}]}
        pod: KubeObject = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": key.name}, "spec": spec}
        await self.client.create(f"/api/v1/namespaces/{key.namespace}/pods", pod)


def friend_of(key: ObjectKey) -> str:
    """Return the name of the Pod that makes a Foo of the bench happy; each has a friend of its own."""
    return f"friend-of-{key.name}"


def _foo(key: ObjectKey) -> KubeObject:
    return {
        "apiVersion": "tutorial.my.domain/v1",
        "kind": "Foo",
        "metadata": {"name": key.name},
        "spec": {"name": friend_of(key)},
    }


async def for_each(keys: Iterable[ObjectKey], act: Callable[[ObjectKey], Awaitable[None]]) -> None:
    """Do something with each object, ``CONCURRENCY`` at a time."""
    pending = iter(keys)

    async def work() -> None:
        for key in pending:
            await act(key)

    async with asyncio.TaskGroup() as group:
        for number in range(CONCURRENCY):
            group.create_task(work(), name=f"bench worker {number}")


def keys(namespace: str, prefix: str, count: int) -> Sequence[ObjectKey]:
    """Return ``count`` keys with numbered names."""
    return [ObjectKey(namespace, f"{prefix}-{number}") for number in range(count)]


@asynccontextmanager
async def session(directory: Path) -> AsyncIterator[Session]:
    """Start a control plane below ``directory`` that ends with the block, and install the kinds."""
    with foreground(ClusterSpec(directory / "devcluster"), find_programs) as cluster:
        crds.install(cluster.api, REPOSITORY / "crds")
        crds.install(cluster.api, definitions.write_crds(directory))
        tell(f"the API server is at {cluster.server}")
        client = await connect(cluster.kubeconfig)
        async with client:
            yield Session(client, cluster.kubeconfig, directory)


def tell(what: str) -> None:
    """Say what is going on."""
    say(what, _WHO)
