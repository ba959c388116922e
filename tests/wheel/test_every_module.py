"""Modules of every collection that is released with this ansible-core answer a fork as they answer an interpreter.

One module of all that import the same shared code stands for the others: what a fork may get wrong is what it has
loaded ahead. ``make test-matrix`` runs this, once for each core.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.pool import SubprocessEngine
from tests.support import everymodule
from tests.support.paths import REPOSITORY
from tools import wheels

CORE = version("ansible-core").rpartition(".")[0]
PARTS = 4
"""Of the modules: as many tests, which run at the same time."""

LEAST_MODULES = 5_000
LEAST_KINDS = 800
"""Fewer would say that modules are not found."""


@pytest.fixture(scope="module")
def path() -> str:
    return f"{wheels.provide(CORE)}:{REPOSITORY / 'collections'}"


@pytest.fixture(scope="module")
def names(path: str) -> list[str]:
    modules = everymodule.files((), path)
    kinds = everymodule.one_of_each_kind(modules)
    assert len(modules) > LEAST_MODULES
    assert len(kinds) > LEAST_KINDS
    return kinds


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
async def test_a_module_of_each_kind_answers_the_same(
    engine: ForkserverEngine, ordinary: SubprocessEngine, path: str, names: list[str], part: int, tmp_path: Path
) -> None:
    mine = names[part::PARTS]
    playbook = everymodule.play(mine)
    expected = await everymodule.run(ordinary, tmp_path / "ordinary", playbook, path)
    assert sorted(expected) == mine
    found = await everymodule.run(engine, tmp_path / "forked", playbook, path)
    assert not everymodule.differences(found, expected)
