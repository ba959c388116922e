"""A reconciler with its surroundings, all in memory but for the private data directory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.cache.cache import ALL_NAMESPACES, Informer, NamespaceStore
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.controller.reconcile import Outcome
from reconcile_runner.execution.job import RunResult, RunSettings, RunStats, RunStatus
from reconcile_runner.metrics import Metrics
from reconcile_runner.proxy import TokenRegistry
from reconcile_runner.reconciler.inputdir import InputDir
from reconcile_runner.reconciler.jobrunner import JobRunner
from reconcile_runner.reconciler.objectwriter import ObjectWriter
from reconcile_runner.reconciler.reconciler import AnsibleReconciler
from reconcile_runner.reconciler.statusretries import StatusRetries
from reconcile_runner.recorder import EventRecorder
from reconcile_runner.watches.watch import Watch
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import FakeClock, settle
from tests.support.fakes.engine import FakeEngine
from tests.support.fakes.proxy import FakeProxy

GVK = GroupVersionKind("example.com", "v1", "Thing")
KEY = ObjectKey("default", "a")
PATH = "/apis/example.com/v1/namespaces/default/things/a"
RESOURCES: KubeObject = {
    "resources": [
        {"name": "things", "kind": "Thing", "namespaced": True, "verbs": ["get", "list", "watch"]},
        {"name": "things/status", "kind": "Thing", "namespaced": True, "verbs": ["get", "patch"]},
    ]
}
SETTINGS = RunSettings(timeout=60, environment={"FROM_OPERATOR": "1"}, gather_facts=False)
PERIOD = 36000.0
FAILURE = RunResult(RunStatus.FAILED, RunStats(failures=1), message="task 'x' failed: no", duration=0.2)


@dataclass
class Bench:
    """A reconciler with its surroundings, all in memory but for the private data directory."""

    client: FakeClient
    store: NamespaceStore
    engine: FakeEngine
    clock: FakeClock
    inputs: InputDir
    tokens: TokenRegistry
    metrics: Metrics
    reconciler: AnsibleReconciler
    recorder: EventRecorder
    retries: StatusRetries

    def put(self, **metadata: Any) -> KubeObject:
        """Create the object on the server and in the cache."""
        base = {"name": "a", "namespace": "default", "uid": "u1", "generation": 1}
        obj = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": base | metadata, "spec": {"size": 1}}
        stored = self.client.put(PATH, obj)
        self.store.replace([stored])
        return stored

    def condition(self, wanted: str) -> dict[str, Any]:
        conditions = self.client.objects[PATH].get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == wanted), {})

    async def reconcile(self) -> Outcome:
        return await self.reconciler.reconcile(KEY)

    def seen(self) -> None:
        """Let the cache see the object as the server has it."""
        self.store.replace([self.client.objects[PATH]] if PATH in self.client.objects else [])

    @property
    def finalizers(self) -> list[str]:
        found: list[str] = self.client.objects[PATH]["metadata"].get("finalizers", [])
        return found

    async def events(self) -> list[tuple[str, str, str]]:
        """Return type, reason and message of what has been recorded so far."""
        sending = asyncio.create_task(self.recorder.run(), name="recorder")
        await settle()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        bodies = [call.body for call in self.client.calls_of("POST") if isinstance(call.body, dict)]
        return [(body["type"], body["reason"], body["message"]) for body in bodies]


def bench(
    tmp_path: Path,
    engine: FakeEngine | None = None,
    settings: RunSettings = SETTINGS,
    *,
    client: FakeClient | None = None,
    has_subresource: bool = True,
    **fields: Any,
) -> Bench:
    client, clock, engine = client or FakeClient(), FakeClock(), engine or FakeEngine()
    client.answer("/apis/example.com/v1", {"resources": RESOURCES["resources"][: 1 + has_subresource]})
    cached = Informer(GVK, metadata_only=False)
    inputs, proxy, metrics = InputDir(tmp_path, {}), FakeProxy(), Metrics()
    recorder = EventRecorder(client, clock)
    retries = StatusRetries(metrics, recorder, clock)
    watch = replace(Watch(GVK, role=Path("/roles/thing"), reconcile_period=PERIOD), **fields)
    discovery = Discovery(client, clock)
    reconciler = AnsibleReconciler(
        watch,
        cached,
        JobRunner(watch, lambda: settings, engine, inputs, proxy, discovery, metrics, clock),
        ObjectWriter(watch, client, discovery, metrics, retries, clock),
        recorder,
    )
    return Bench(
        client,
        NamespaceStore(cached, ALL_NAMESPACES),
        engine,
        clock,
        inputs,
        proxy.tokens,
        metrics,
        reconciler,
        recorder,
        retries,
    )
