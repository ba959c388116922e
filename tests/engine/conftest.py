"""Both engines, for tests that hold one against the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from reconcile_runner.execution.forkserver import engine as engine_module
from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.forkserver.wire import Patience
from reconcile_runner.execution.pool import SubprocessEngine


@pytest.fixture(autouse=True, scope="session")
def _patient() -> Iterator[None]:
    """Have first runs be forks, however long this machine takes to load Ansible."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(engine_module, "DEFAULT_PATIENCE", Patience(priming=90.0, answer=120.0))
        yield


@pytest.fixture
async def engine() -> AsyncIterator[ForkserverEngine]:
    engine = ForkserverEngine()
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
async def ordinary() -> AsyncIterator[SubprocessEngine]:
    engine = SubprocessEngine()
    await engine.start()
    yield engine
    await engine.stop()
