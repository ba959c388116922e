"""What differs is patched, once, under the version that was read; the writer says what came of it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from reconcile_runner.apimachinery.objects import GroupVersionKind, KubeObject, ObjectKey
from reconcile_runner.client import MAX_CONFLICTS, PatchBody, PatchType
from reconcile_runner.client.discovery import Resource
from reconcile_runner.errors import ConflictError
from reconcile_runner.execution.job import RunResult, RunStats, RunStatus
from reconcile_runner.reconciler.status import StatusUpdate, StatusWriter, Written
from reconcile_runner.reconciler.status import conditions as status
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import FakeClock

SUCCESS = RunResult(RunStatus.SUCCESSFUL, RunStats(ok=3, changed=1))


def foo() -> KubeObject:
    return {"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 2}}


def succeeded(generation: int) -> StatusUpdate:
    return status.succeeded(generation, SUCCESS)


def failed(generation: int) -> StatusUpdate:
    return status.failed(generation, "no")


def conditions(obj: KubeObject) -> dict[str, dict[str, Any]]:
    return {condition["type"]: condition for condition in obj["status"]["conditions"]}


THINGS = Resource(GroupVersionKind("g", "v1", "Thing"), "things", namespaced=True, subresources=frozenset({"status"}))
PATH = "/apis/g/v1/namespaces/n/things/a"


class DroppingClient(FakeClient):
    """An API server whose schema of the kind lacks a field of the status."""

    async def patch(
        self,
        path: str,
        body: PatchBody,
        *,
        patch_type: PatchType = PatchType.MERGE,
        params: Mapping[str, str] | None = None,
    ) -> KubeObject:
        before = self.objects[PATH]
        await super().patch(path, body, patch_type=patch_type, params=params)
        self.objects[PATH]["status"].pop("observedGeneration", None)
        if self.objects[PATH].get("status") == before.get("status"):
            self.objects[PATH] = before
        return copy.deepcopy(self.objects[PATH])


class ConditionlessClient(DroppingClient):
    """An API server whose schema of the kind has no field of the status at all."""

    async def patch(
        self,
        path: str,
        body: PatchBody,
        *,
        patch_type: PatchType = PatchType.MERGE,
        params: Mapping[str, str] | None = None,
    ) -> KubeObject:
        before = self.objects[PATH]
        await super().patch(path, body, patch_type=patch_type, params=params)
        self.objects[PATH] = before
        return copy.deepcopy(before)


async def test_a_field_that_the_schema_drops_is_not_written_again_and_again() -> None:
    client = DroppingClient()
    client.put(PATH, foo())
    writer = StatusWriter(client, FakeClock())
    written = [await writer.write(THINGS, foo(), succeeded) for _ in range(4)]
    assert written == [Written.CHANGED, Written.UNCHANGED, Written.UNCHANGED, Written.UNCHANGED]
    assert len(client.calls_of("PATCH")) == 1
    await writer.write(THINGS, foo(), failed)
    assert conditions(client.objects[PATH])["Failure"]["status"] == "True"


async def test_the_status_of_a_kind_without_the_subresource_is_written_to_the_object() -> None:
    client = FakeClient()
    client.put(PATH, foo())
    plain = dataclasses.replace(THINGS, subresources=frozenset())
    await StatusWriter(client, FakeClock()).write(plain, foo(), succeeded)
    assert [call.path for call in client.calls_of("PATCH")] == [PATH]


async def test_a_slow_periodic_run_sends_nothing_to_a_schema_that_keeps_no_conditions() -> None:
    client = ConditionlessClient()
    client.put(PATH, foo())
    writer = StatusWriter(client, FakeClock())
    sent = []
    for _ in range(3):
        await writer.write(THINGS, foo(), status.running, is_verdict=False)
        await writer.write(THINGS, foo(), succeeded)
        sent.append(len(client.calls_of("PATCH")))
    assert sent == [2, 2, 2]


async def test_what_was_judged_is_known_until_the_object_is_forgotten() -> None:
    client = FakeClient()
    client.put(PATH, foo())
    writer = StatusWriter(client, FakeClock())
    await writer.write(THINGS, foo(), status.running, is_verdict=False)
    assert not writer.is_judged(foo())
    await writer.write(THINGS, foo(), failed)
    newer, other = foo(), foo()
    newer["metadata"]["generation"], other["metadata"]["uid"] = 3, "another"
    assert [writer.is_judged(obj) for obj in (foo(), newer, other)] == [True, False, False]
    writer.forget(ObjectKey("n", "a"))
    assert not writer.is_judged(foo())


async def test_conflict_after_conflict_is_handed_to_the_caller() -> None:
    client = FakeClient()
    client.put(PATH, foo())
    client.fail("PATCH", f"{PATH}/status", ConflictError(409, "Conflict", "changed"), times=MAX_CONFLICTS)
    with pytest.raises(ConflictError):
        await StatusWriter(client, FakeClock()).write(THINGS, foo(), succeeded)


@pytest.mark.parametrize("there", [None, "another"], ids=["deleted", "replaced"])
async def test_an_object_that_went_away_is_said_to_be_gone(there: str | None) -> None:
    client = FakeClient()
    if there is not None:
        client.put(PATH, {"metadata": {"name": "a", "namespace": "n", "uid": there}})
    written = await StatusWriter(client, FakeClock()).write(THINGS, foo(), status.running)
    assert written is Written.GONE
    assert client.calls_of("PATCH") == []
