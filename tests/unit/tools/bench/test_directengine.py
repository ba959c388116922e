from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconcile_runner.execution.job import Job, ServedApi
from reconcile_runner.execution.pool import Engine
from tests.support.fakes.engine import SUCCESS, FakeEngine
from tools.bench.directengine import DirectEngine


async def test_a_run_has_the_other_kubeconfig_and_is_otherwise_the_real_engine_s(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("of the proxy, and longer")
    real = FakeEngine()
    text = '{"clusters": [{"cluster": {"server": "https://the.api.server"}}]}'
    engine: Engine = DirectEngine(text.encode(), real)
    job = Job("1", tmp_path, None, Path("/roles/thing"))
    known = replace(job, api=ServedApi("http://the.proxy", "some"))
    await engine.start()
    assert real.started
    assert await engine.run(job, lambda _: None) == SUCCESS
    assert await engine.run(known, lambda _: None) == SUCCESS
    assert real.jobs == [job, replace(job, api=ServedApi("https://the.api.server", "some"))]
    assert kubeconfig.read_text() == text
    await engine.stop()
    assert not real.started
