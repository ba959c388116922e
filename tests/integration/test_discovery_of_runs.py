"""What one run found out about the API server's kinds reaches the next only while it holds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from reconcile_runner.client import HttpClient, connect
from reconcile_runner.client.discovery import Discovery
from reconcile_runner.clock import SystemClock
from reconcile_runner.errors import ApiError
from reconcile_runner.execution import discoverycache
from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.job import ServedApi
from reconcile_runner.execution.pool import SubprocessEngine
from tests.support.ansible_support import collection_paths
from tests.support.jobs import make_job
from tests.support.paths import TESTDATA
from tests.support.watching import Kind, until

pytestmark = pytest.mark.timeout(180)


@asynccontextmanager
async def installed(client: HttpClient, kind: Kind, *, namespaced: bool) -> AsyncIterator[None]:
    """Have a kind while the block lasts, known to whoever asks for what is served."""
    await kind.install(client, namespaced=namespaced)
    try:
        await until(lambda: is_discovered(client, kind, [namespaced]), "the kind is discovered")
        yield
    finally:
        await kind.remove(client)
        await until(lambda: is_discovered(client, kind, []), "the kind is no longer discovered")


async def is_discovered(client: HttpClient, kind: Kind, scopes: list[bool]) -> bool:
    """Tell whether the API server lists the kind, as namespaced (True) or not (False); an empty list: not at all."""
    try:
        served = await client.get("/apis/watching.test/v1")
    except ApiError:
        return scopes == []
    return [each["namespaced"] for each in served["resources"] if each["name"] == kind.plural] == scopes


@pytest.mark.parametrize(
    "kind_of_engine", [pytest.param(SubprocessEngine, marks=pytest.mark.exhaustive), ForkserverEngine]
)
async def test_a_run_sees_what_the_api_server_serves_now(
    kind_of_engine: type[SubprocessEngine | ForkserverEngine], kubeconfig: Path, tmp_path: Path
) -> None:
    swing = Kind("Swing")
    engine = kind_of_engine()
    await engine.start()

    async def found(client: HttpClient, discovery: Discovery) -> int:
        path = tmp_path / "report.json"
        collections = {"ANSIBLE_COLLECTIONS_PATH": ":".join(map(str, collection_paths()))}
        job = make_job(tmp_path, str(TESTDATA / "isolation" / "kinds.yml"), {"report": str(path)}, env=collections)
        (job.private_data_dir / "kubeconfig").write_bytes(kubeconfig.read_bytes())
        job = replace(job, api=ServedApi(client.server, await discovery.etag()))
        result = await engine.run(job, lambda _event: None)
        assert result.succeeded, result.message
        seen = orjson.loads(path.read_bytes())
        kept = [path.name for path in Path(seen["temporary"]).iterdir() if path.name.startswith("k8srcp-")]
        assert len(kept) == 1
        assert set(kept) <= discoverycache.names(client.server), "nothing would be kept for the next run"
        return int(seen["found"])

    try:
        async with await connect(kubeconfig) as client:
            discovery = Discovery(client, SystemClock())
            for namespaced in (True, False, True):
                async with installed(client, swing, namespaced=namespaced):
                    await client.create(swing.path("default" if namespaced else ""), swing.object("swing"))
                    assert [await found(client, discovery), await found(client, discovery)] == [1, 1]
                assert await found(client, discovery) == 0
    finally:
        await engine.stop()
