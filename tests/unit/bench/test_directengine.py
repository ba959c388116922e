from __future__ import annotations

from pathlib import Path

from bench.directengine import DirectEngine
from runner.execution import Engine
from runner.run import Job
from tests.fakes.engine import SUCCESS, FakeEngine


async def test_a_run_has_the_other_kubeconfig_and_is_otherwise_the_real_engine_s(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text("of the proxy, and longer")
    real = FakeEngine()
    engine: Engine = DirectEngine(b"of the API server", real)
    job = Job("1", tmp_path, None, Path("/roles/thing"))
    await engine.start()
    assert real.started
    assert await engine.run(job, lambda _: None) == SUCCESS
    assert real.jobs == [job]
    assert kubeconfig.read_text() == "of the API server"
    await engine.stop()
    assert not real.started
