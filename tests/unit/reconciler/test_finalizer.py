"""Our name on an object, before its first run and after its last; and which run serves a deletion."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from reconcile_runner.apimachinery.objects import KubeObject, ObjectKey
from reconcile_runner.client import MAX_CONFLICTS
from reconcile_runner.client.discovery import Resource
from reconcile_runner.controller.reconcile import Failed, Ignored, Succeeded
from reconcile_runner.errors import ApiUnreachableError, ConflictError, ForbiddenError
from reconcile_runner.reconciler.finalizer import FinalizerKeeper, for_deletion
from reconcile_runner.watches.watch import Finalizer, Watch
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import settle
from tests.support.fakes.engine import FakeEngine
from tests.support.fakes.reconcilerbench import FAILURE, GVK, PATH, bench

NAME, FOREIGN = "example.com/cleanup", "other.example.com/keep"
KEY = ObjectKey("default", "a")
THINGS = Resource(GVK, "things", namespaced=True)
FINALIZER = Finalizer(NAME, role=Path("/roles/cleanup"), vars={"state": "absent"})
DELETED = "2026-01-01T00:00:00Z"


def thing(**metadata: Any) -> KubeObject:
    base = {"name": "a", "namespace": "default", "uid": "u1", "resourceVersion": "1"}
    return {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": base | metadata}


class TestPlay:
    def test_a_role_takes_the_place_of_the_watchs_and_its_vars_come_on_top(self) -> None:
        watch = Watch(GVK, playbook=Path("/p.yml"), vars={"state": "present", "a": 1}, finalizer=FINALIZER)
        chosen = for_deletion(watch)
        assert (chosen.playbook, chosen.role) == (None, Path("/roles/cleanup"))
        assert chosen.vars == {"state": "absent", "a": 1}

    def test_a_playbook_takes_the_place_of_the_watchs(self) -> None:
        finalizer = Finalizer(NAME, playbook=Path("/gone.yml"))
        chosen = for_deletion(Watch(GVK, role=Path("/roles/thing"), finalizer=finalizer))
        assert (chosen.playbook, chosen.role) == (Path("/gone.yml"), None)

    def test_vars_alone_run_what_the_watch_runs(self) -> None:
        finalizer = Finalizer(NAME, vars={"state": "absent"})
        chosen = for_deletion(Watch(GVK, role=Path("/roles/thing"), finalizer=finalizer))
        assert (chosen.role, chosen.vars) == (Path("/roles/thing"), {"state": "absent"})


class TestName:
    @pytest.fixture
    def client(self) -> FakeClient:
        return FakeClient()

    @pytest.fixture
    def keeper(self, client: FakeClient) -> FinalizerKeeper:
        return FinalizerKeeper(client)

    async def test_it_is_put_behind_those_of_others(self, client: FakeClient, keeper: FinalizerKeeper) -> None:
        stored = client.put(PATH, thing(finalizers=[FOREIGN]))
        guarded = await keeper.add(THINGS, KEY, stored, NAME)
        assert guarded is not None
        assert guarded["metadata"]["finalizers"] == [FOREIGN, NAME]
        assert client.calls_of("GET") == []

    async def test_a_cache_that_lags_loses_nobodys_name(self, client: FakeClient, keeper: FinalizerKeeper) -> None:
        stale = client.put(PATH, thing())
        client.put(PATH, thing(finalizers=[FOREIGN]))
        await keeper.add(THINGS, KEY, stale, NAME)
        assert client.objects[PATH]["metadata"]["finalizers"] == [FOREIGN, NAME]

    async def test_it_is_not_put_twice(self, client: FakeClient, keeper: FinalizerKeeper) -> None:
        stale = client.put(PATH, thing())
        client.put(PATH, thing(finalizers=[NAME]))
        await keeper.add(THINGS, KEY, stale, NAME)
        assert client.objects[PATH]["metadata"]["finalizers"] == [NAME]

    @pytest.mark.parametrize(
        "live", [thing(deletionTimestamp=DELETED, finalizers=[FOREIGN]), thing(uid="u2"), None], ids=str
    )
    async def test_what_is_on_its_way_out_takes_none(
        self, live: KubeObject | None, client: FakeClient, keeper: FinalizerKeeper
    ) -> None:
        stale = client.put(PATH, thing())
        del client.objects[PATH]
        if live is not None:
            client.put(PATH, live)
        assert await keeper.add(THINGS, KEY, stale, NAME) is None

    async def test_it_is_taken_off_and_those_of_others_stay(self, client: FakeClient, keeper: FinalizerKeeper) -> None:
        client.put(PATH, thing(finalizers=[NAME, FOREIGN], deletionTimestamp=DELETED))
        await keeper.remove(THINGS, KEY, "u1", NAME)
        assert client.objects[PATH]["metadata"]["finalizers"] == [FOREIGN]

    @pytest.mark.parametrize("live", [thing(finalizers=[FOREIGN]), thing(uid="u2", finalizers=[NAME]), None], ids=str)
    async def test_nothing_is_taken_off_where_nothing_of_ours_is(
        self, live: KubeObject | None, client: FakeClient, keeper: FinalizerKeeper
    ) -> None:
        if live is not None:
            client.put(PATH, live)
        await keeper.remove(THINGS, KEY, "u1", NAME)
        assert client.calls_of("PATCH") == []

    async def test_conflicts_are_worked_out_anew_and_handed_on_in_the_end(
        self, client: FakeClient, keeper: FinalizerKeeper
    ) -> None:
        stored = client.put(PATH, thing())
        conflict = ConflictError(409, "Conflict", "changed")
        client.fail("PATCH", PATH, conflict, times=MAX_CONFLICTS - 1)
        assert await keeper.add(THINGS, KEY, stored, NAME) is not None
        client.fail("PATCH", PATH, conflict, times=MAX_CONFLICTS)
        with pytest.raises(ConflictError):
            await keeper.remove(THINGS, KEY, "u1", NAME)


class TestReconcile:
    async def test_the_name_is_there_before_the_first_run(self, tmp_path: Path) -> None:
        engine = FakeEngine(hold=True)
        b = bench(tmp_path, engine, finalizer=FINALIZER)
        b.put()
        running = asyncio.create_task(b.reconcile())
        await settle()
        assert b.engine.running
        assert b.finalizers == [NAME]
        engine.release()
        assert isinstance(await running, Succeeded)

    async def test_without_the_right_to_put_it_nothing_is_run_and_the_conditions_say_why(self, tmp_path: Path) -> None:
        b = bench(tmp_path, finalizer=FINALIZER)
        b.put()
        b.client.fail("PATCH", PATH, ForbiddenError(403, "Forbidden", "may not patch things"))
        assert isinstance(await b.reconcile(), Failed)
        assert b.engine.jobs == []
        assert "may not patch things" in b.condition("Failure")["message"]

    async def test_a_deletion_runs_the_finalizer_and_then_lets_the_object_go(self, tmp_path: Path) -> None:
        b = bench(tmp_path, finalizer=FINALIZER)
        b.put(finalizers=[NAME, FOREIGN], deletionTimestamp=DELETED)
        assert isinstance(await b.reconcile(), Succeeded)
        (job,) = b.engine.jobs
        assert job.role == Path("/roles/cleanup")
        assert json.loads((job.private_data_dir / "env" / "extravars").read_text())["state"] == "absent"
        assert b.finalizers == [FOREIGN]
        assert b.condition("Ready")["status"] == "True"
        assert ("Normal", "Finalized", f"The finalizer {NAME} is done") in await b.events()

    async def test_what_waits_for_others_only_is_not_run_for_again(self, tmp_path: Path) -> None:
        b = bench(tmp_path, finalizer=FINALIZER)
        b.put(finalizers=[FOREIGN], deletionTimestamp=DELETED)
        assert isinstance(await b.reconcile(), Ignored)
        assert b.engine.jobs == []

    async def test_a_finalizer_that_fails_keeps_the_object_says_why_and_is_tried_again(self, tmp_path: Path) -> None:
        b = bench(tmp_path, FakeEngine([FAILURE]), finalizer=FINALIZER)
        b.put(finalizers=[NAME], deletionTimestamp=DELETED)
        assert await b.reconcile() == Failed(f"finalizer {NAME}: task 'x' failed: no")
        assert b.finalizers == [NAME]
        assert b.condition("Failure")["message"] == f"finalizer {NAME}: task 'x' failed: no"
        assert await b.events() == [("Warning", "FinalizerFailed", f"finalizer {NAME}: task 'x' failed: no")]
        assert isinstance(await b.reconcile(), Succeeded)
        assert b.finalizers == []

    async def test_a_name_that_cannot_be_taken_off_is_tried_again(self, tmp_path: Path) -> None:
        b = bench(tmp_path, finalizer=FINALIZER)
        b.put(finalizers=[NAME], deletionTimestamp=DELETED)
        b.client.fail("PATCH", PATH, ApiUnreachableError("no answer"))
        outcome = await b.reconcile()
        assert isinstance(outcome, Failed)
        assert "cannot be taken off the object: no answer" in outcome.message

    async def test_a_period_that_cannot_be_read_does_not_keep_an_object(self, tmp_path: Path) -> None:
        b = bench(tmp_path, finalizer=FINALIZER)
        period = {"ansible.sdk.operatorframework.io/reconcile-period": "soon"}
        b.put(finalizers=[NAME], deletionTimestamp=DELETED, annotations=period)
        assert isinstance(await b.reconcile(), Succeeded)
        assert b.finalizers == []
