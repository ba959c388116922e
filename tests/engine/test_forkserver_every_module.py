"""Every module answers a fork as it answers an interpreter of its own, field by field."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.pool import SubprocessEngine
from tests.support import everymodule
from tests.support.paths import REPOSITORY, TESTDATA

EVERY = TESTDATA / "everymodule"
COLLECTIONS = ("ansible.builtin", "kubernetes.core", "reconcile_runner.util")
PATH = f"{REPOSITORY / '.collections'}:{REPOSITORY / 'collections'}:{EVERY / 'collections'}"


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
async def test_every_module_answers_the_same(
    engine: ForkserverEngine, ordinary: SubprocessEngine, tmp_path: Path
) -> None:
    names = sorted(everymodule.files(COLLECTIONS, PATH))
    assert {"ansible.builtin.uri", "kubernetes.core.k8s", "reconcile_runner.util.k8s_status"} < set(names)
    playbook = everymodule.play(names)
    expected = await everymodule.run(ordinary, tmp_path / "ordinary", playbook, PATH)
    assert sorted(expected) == names
    for number in ("first", "second"):  # which finds the payloads that the first one made
        found = await everymodule.run(engine, tmp_path / number, playbook, PATH)
        assert not everymodule.differences(found, expected), number


@pytest.mark.timeout(180)
async def test_modules_of_a_role_and_of_a_collection_import_what_six_makes(
    engine: ForkserverEngine, ordinary: SubprocessEngine, tmp_path: Path
) -> None:
    playbook = [{"hosts": "localhost", "gather_facts": False, "roles": [{"role": str(EVERY / "roles" / "own")}]}]
    expected = await everymodule.run(ordinary, tmp_path / "ordinary", playbook, PATH)
    assert all("moves" in result for result in expected.values()), expected
    for number in ("first", "second"):
        found = await everymodule.run(engine, tmp_path / number, playbook, PATH)
        assert not everymodule.differences(found, expected), number
