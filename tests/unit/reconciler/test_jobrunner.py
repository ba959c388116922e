"""One run: what it is given, what it may do while it lasts, and what is left of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from reconcile_runner.client.discovery import Discovery
from reconcile_runner.execution.artifacts import ArtifactStore
from reconcile_runner.execution.job import Job, RunResult, ServedApi
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.metrics import Metrics
from reconcile_runner.reconciler.inputdir import InputDir
from reconcile_runner.reconciler.jobrunner import JobRunner
from reconcile_runner.watches.annotations import AnnotationSettings
from reconcile_runner.watches.watch import Watch
from tests.support.fakes.client import FakeClient
from tests.support.fakes.clock import FakeClock, settle
from tests.support.fakes.engine import FakeEngine
from tests.support.fakes.proxy import FakeProxy
from tests.support.fakes.reconcilerbench import GVK, KEY, SETTINGS, bench

WATCH = Watch(GVK, role=Path("/roles/thing"))


async def test_a_run_reads_its_inputs_and_a_kubeconfig_of_its_own(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put()
    await b.reconcile()
    directory = b.engine.jobs[0].private_data_dir
    kubeconfig = json.loads((directory / "kubeconfig").read_text())
    assert kubeconfig["clusters"][0]["cluster"]["server"] == "http://127.0.0.1:1"
    variables = json.loads((directory / "env" / "extravars").read_text())
    assert variables["size"] == 1
    assert variables["ansible_operator_meta"] == {"name": "a", "namespace": "default"}
    assert json.loads((directory / "env" / "envvars").read_text())["FROM_OPERATOR"] == "1"


async def test_a_token_is_valid_exactly_while_its_run_lasts(tmp_path: Path) -> None:
    engine = FakeEngine(hold=True)
    b = bench(tmp_path, engine)
    b.put()
    running = asyncio.create_task(b.reconcile())
    await settle()
    text = (engine.jobs[0].private_data_dir / "kubeconfig").read_text()
    token = json.loads(text)["users"][0]["user"]["token"]
    run = b.tokens.run_of(token)
    assert run is not None
    assert (run.owner.gvk, run.owner.key, run.owner.uid) == (GVK, KEY, "u1")
    engine.release()
    await running
    assert b.tokens.run_of(token) is None


async def test_verbosity_follows_the_annotation_and_ignores_nonsense(tmp_path: Path) -> None:
    b = bench(tmp_path)
    for text in ("4", "loud"):
        b.put(annotations={"ansible.sdk.operatorframework.io/verbosity": text})
        await b.reconcile()
    assert [job.settings.verbosity for job in b.engine.jobs] == [4, 2]


async def test_every_phase_of_a_run_is_measured(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put()
    await b.reconcile()
    measured = {
        sample.labels["phase"]: sample.value
        for family in b.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "reconcile_runner_phase_seconds_count"
    }
    assert measured == dict.fromkeys(("prepare", "fork", "play", "modules", "teardown", "status"), 1.0)


async def test_cancelling_a_reconcile_cancels_its_run_and_voids_its_token(tmp_path: Path) -> None:
    engine = FakeEngine(hold=True)
    b = bench(tmp_path, engine)
    b.put()
    running = asyncio.create_task(b.reconcile())
    await settle()
    token = json.loads((engine.jobs[0].private_data_dir / "kubeconfig").read_text())["users"][0]["user"]["token"]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert engine.canceled == engine.jobs
    assert b.tokens.run_of(token) is None


@pytest.mark.parametrize(("limit", "left"), [(None, ["run"]), (0, [])], ids=["kept", "off"])
async def test_artifacts_are_counted_when_a_run_has_ended(tmp_path: Path, limit: int | None, left: list[str]) -> None:
    class Leaving(FakeEngine):
        async def run(self, job: Job, on_event: Callable[[JobEvent], None]) -> RunResult:
            (job.private_data_dir / "artifacts" / job.ident).mkdir(parents=True)
            (job.private_data_dir / "artifacts" / job.ident / "stdout").write_text("ran")
            return await super().run(job, on_event)

    inputs = InputDir(tmp_path, {}, ArtifactStore(limit))
    engine, discovery = Leaving(), Discovery(FakeClient(), FakeClock())
    jobs = JobRunner(WATCH, lambda: SETTINGS, engine, inputs, FakeProxy(), discovery, Metrics(), FakeClock())
    obj = {"metadata": {"name": "a", "namespace": "default", "uid": "u"}}
    await jobs.run(obj, AnnotationSettings())
    artifacts = inputs.path(GVK, KEY) / "artifacts"
    assert ["run" for _ in artifacts.iterdir()] == left
    await jobs.clear(KEY)
    assert engine.ended_remains == [inputs.path(GVK, KEY)]
    assert not list(tmp_path.iterdir())


async def test_annotations_win_over_the_watch_and_the_settings(tmp_path: Path) -> None:
    engine = FakeEngine()
    inputs, discovery = InputDir(tmp_path, {}), Discovery(FakeClient(), FakeClock())
    jobs = JobRunner(WATCH, lambda: SETTINGS, engine, inputs, FakeProxy(), discovery, Metrics(), FakeClock())
    obj = {"metadata": {"name": "a", "namespace": "default"}}
    for read in (AnnotationSettings(), AnnotationSettings(verbosity=0)):
        await jobs.run(obj, read)
    assert [job.settings.verbosity for job in engine.jobs] == [2, 0]


async def test_a_run_is_told_what_the_api_server_serves_now(tmp_path: Path) -> None:
    b = bench(tmp_path)
    b.put()
    await b.reconcile()
    for apis in ({"groups": "first"}, {"groups": "second"}):
        b.client.answer("/api", {"groups": "core"})
        b.client.answer("/apis", apis)
        await b.reconcile()
    unknown, first, second = [job.api for job in b.engine.jobs]
    assert unknown is None
    assert isinstance(first, ServedApi)
    assert isinstance(second, ServedApi)
    assert first.url == second.url == "http://127.0.0.1:1"
    assert first.kinds != second.kinds
