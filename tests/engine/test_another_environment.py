"""Runs by the ``ansible-playbook`` of another environment, which has nothing of the operator's."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from reconcile_runner.errors import ConfigError
from reconcile_runner.execution.choice import choose_engine
from reconcile_runner.execution.forkserver.engine import ForkserverEngine
from reconcile_runner.execution.installation import minor_of, other_installation
from reconcile_runner.execution.pool import Engine, SubprocessEngine
from reconcile_runner.options import EngineName
from tests.support import cores
from tests.support.jobs import make_job
from tests.support.paths import REPOSITORY, TESTDATA

pytestmark = [pytest.mark.timeout(300), pytest.mark.exhaustive]

CORE = "2.21" if cores.is_installed("2.18") else "2.18"
"""Not the one of the tests' own environment."""
ISOLATION = TESTDATA / "isolation"
OWN_PACKAGES = {"aiohttp", "ansible_runner", "orjson", "prometheus_client", "pydantic", "structlog", "typer"}


@pytest.fixture(scope="module")
def program() -> Path:
    return cores.ansible_playbook(CORE)


@pytest.fixture(params=list(EngineName))
async def engine(request: pytest.FixtureRequest, program: Path) -> AsyncIterator[Engine]:
    engine = choose_engine(request.param, (), other_installation(program))
    await engine.start()
    yield engine
    await engine.stop()


async def seen_by(engine: Engine, root: Path) -> dict[str, Any]:
    report = root / "report.json"
    result = await engine.run(
        make_job(root, str(ISOLATION / "environment.yml"), {"report": str(report)}), lambda _: None
    )
    assert result.succeeded, result.message
    seen: dict[str, Any] = json.loads(report.read_bytes())
    return seen


async def test_a_run_has_that_environments_ansible_and_python(engine: Engine, tmp_path: Path, program: Path) -> None:
    seen = await seen_by(engine, tmp_path)
    assert minor_of(seen["ansible"]) == CORE
    assert Path(seen["python"]).parent == program.parent
    assert Path(seen["module"]["interpreter"]).parent == program.parent


async def test_nothing_of_the_operators_environment_is_loaded_or_on_the_path(engine: Engine, tmp_path: Path) -> None:
    seen = await seen_by(engine, tmp_path)
    assert OWN_PACKAGES.isdisjoint(seen["loaded"])
    own = (f"{sys.prefix}/", str(REPOSITORY / "runner"))
    assert [path for path in [*seen["path"], *seen["module"]["path"]] if path.startswith(own)] == []


async def test_modules_are_forked_there_too(program: Path, tmp_path: Path) -> None:
    engine = choose_engine(EngineName.FORKSERVER, (), other_installation(program))
    await engine.start()
    try:
        assert (await seen_by(engine, tmp_path))["module"]["forked"]
    finally:
        await engine.stop()


def test_the_start_tells_which_environment_it_is(program: Path) -> None:
    with capture_logs() as lines:
        assert type(choose_engine(None, (), other_installation(program))) is ForkserverEngine
    [line] = lines
    assert line["event"] == "runs use the ansible-playbook of another environment"
    assert (line["path"], minor_of(line["ansible_core"])) == (str(program), CORE)


def test_a_program_that_starts_ansible_by_a_detour_is_run_as_it_is_and_one_line_says_why(
    program: Path, tmp_path: Path
) -> None:
    detour = tmp_path / "ansible-playbook"
    detour.write_text(f'#!/bin/sh\nexec {program} "$@"\n', encoding="utf-8")
    detour.chmod(0o700)
    with capture_logs() as lines:
        assert type(choose_engine(None, (), other_installation(detour))) is SubprocessEngine
    interpreter = other_installation(program).interpreter
    [reason] = [line["reason"] for line in lines if line["log_level"] == "warning"]
    assert reason == f"{detour} does not run in {interpreter}"
    with pytest.raises(ConfigError, match=r"--engine=forkserver cannot be used here: .* does not run in"):
        choose_engine(EngineName.FORKSERVER, (), other_installation(detour))


async def test_a_run_by_a_detour_is_that_environments(program: Path, tmp_path: Path) -> None:
    detour = tmp_path / "ansible-playbook"
    detour.write_text(f'#!/bin/sh\nexec {program} "$@"\n', encoding="utf-8")
    detour.chmod(0o700)
    engine = choose_engine(None, (), other_installation(detour))
    await engine.start()
    try:
        assert minor_of((await seen_by(engine, tmp_path))["ansible"]) == CORE
    finally:
        await engine.stop()
