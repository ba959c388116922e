"""Both engines, for tests that hold one against the other."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.pool import SubprocessEngine


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
