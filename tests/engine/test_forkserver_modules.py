"""Modules run in a fork where that is safe, as in a new interpreter, and in an interpreter of their own elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest

from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from tests.support.jobs import make_job
from tests.support.paths import TESTDATA

pytestmark = pytest.mark.timeout(180)

PLACES = str(TESTDATA / "isolation" / "places.yml")
OTHER_PYTHON = shutil.which("python3", path="/usr/bin")
ITS_OWN = ("forked", "interpreter", "path", "command_line", "parent")
"""What a module in a fork and one in an interpreter of its own tell differently, or only one of them does."""


async def places(engine: Engine, root: Path, **settings: Any) -> dict[str, dict[str, Any]]:
    path = root / "places.json"
    env = {"ANSIBLE_COLLECTIONS_PATH": str(TESTDATA / "taskstate" / "collections")} | settings.pop("env", {})
    job = make_job(root, PLACES, {"report": str(path), "other_python": OTHER_PYTHON or ""}, env=env, **settings)
    result = await engine.run(job, lambda _event: None)
    assert result.succeeded, result.message
    seen: dict[str, dict[str, Any]] = orjson.loads(path.read_bytes())
    return seen


@pytest.mark.skipif(OTHER_PYTHON is None, reason="no other Python in /usr/bin")
async def test_a_module_runs_in_a_fork_only_where_an_interpreter_would_make_no_difference(
    engine: ForkserverEngine, tmp_path: Path
) -> None:
    seen = await places(engine, tmp_path)
    assert {name: each["forked"] for name, each in seen.items()} == {
        "plain": True,
        "with_variable": True,
        "with_interpreters_variable": False,
        "with_other_interpreter": False,
        "asynchronous": False,
        "becoming": False,
        "connected": False,
    }
    assert seen["with_variable"]["variable"] == "of the task"
    assert seen["with_other_interpreter"]["interpreter"] == OTHER_PYTHON


@pytest.mark.exhaustive  # a tier that counts no coverage, which is a change of the processes that are compared
@pytest.mark.skipif(OTHER_PYTHON is None, reason="no other Python in /usr/bin")
async def test_a_fork_is_as_a_new_interpreter(engine: ForkserverEngine, tmp_path: Path) -> None:
    ordinary = SubprocessEngine()
    await ordinary.start()
    try:
        expected = (await places(ordinary, tmp_path / "ordinary"))["plain"]
    finally:
        await ordinary.stop()
    found = (await places(engine, tmp_path / "forked"))["plain"]
    assert {name: value for name, value in found.items() if name not in ITS_OWN} == {
        name: value for name, value in expected.items() if name not in ITS_OWN
    }
    assert found["path"] == expected["path"]
    assert found["interpreter"] == expected["interpreter"]


@pytest.mark.parametrize("settings", [{"cmdline": "-vvv"}, {"env": {"ANSIBLE_KEEP_REMOTE_FILES": "true"}}], ids=str)
@pytest.mark.exhaustive
async def test_who_looks_closely_sees_the_ordinary_way(
    engine: ForkserverEngine, tmp_path: Path, settings: dict[str, Any]
) -> None:
    assert not (await places(engine, tmp_path, **settings))["plain"]["forked"]
