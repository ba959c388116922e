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
from reconcile_runner.reconciler.status import StatusWriter, Written
from reconcile_runner.reconciler.status import conditions as status
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import FakeClock

SUCCESS = RunResult(RunStatus.SUCCESSFUL, RunStats(ok=3, changed=1))


def foo() -> KubeObject:
    return {"metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 2}}


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


async def test_a_field_that_the_schema_drops_is_not_written_again_and_again() -> None:
    client = DroppingClient()
    client.put(PATH, foo())
    writer = StatusWriter(client, FakeClock())
    written = [await writer.write(THINGS, ObjectKey("n", "a"), "u", status.succeeded(2, SUCCESS)) for _ in range(4)]
    assert written == [Written.CHANGED, Written.UNCHANGED, Written.UNCHANGED, Written.UNCHANGED]
    assert len(client.calls_of("PATCH")) == 1
    await writer.write(THINGS, ObjectKey("n", "a"), "u", status.failed(2, "no"))
    assert conditions(client.objects[PATH])["Failure"]["status"] == "True"


async def test_the_status_of_a_kind_without_the_subresource_is_written_to_the_object() -> None:
    client = FakeClient()
    client.put(PATH, foo())
    plain = dataclasses.replace(THINGS, subresources=frozenset())
    await StatusWriter(client, FakeClock()).write(plain, ObjectKey("n", "a"), "u", status.succeeded(2, SUCCESS))
    assert [call.path for call in client.calls_of("PATCH")] == [PATH]


async def test_conflict_after_conflict_is_handed_to_the_caller() -> None:
    client = FakeClient()
    client.put(PATH, foo())
    client.fail("PATCH", f"{PATH}/status", ConflictError(409, "Conflict", "changed"), times=MAX_CONFLICTS)
    with pytest.raises(ConflictError):
        await StatusWriter(client, FakeClock()).write(THINGS, ObjectKey("n", "a"), "u", status.succeeded(2, SUCCESS))


@pytest.mark.parametrize("there", [None, "another"], ids=["deleted", "replaced"])
async def test_an_object_that_went_away_is_said_to_be_gone(there: str | None) -> None:
    client = FakeClient()
    if there is not None:
        client.put(PATH, {"metadata": {"name": "a", "namespace": "n", "uid": there}})
    written = await StatusWriter(client, FakeClock()).write(THINGS, ObjectKey("n", "a"), "u", status.running(2))
    assert written is Written.GONE
    assert client.calls_of("PATCH") == []
