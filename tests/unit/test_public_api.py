"""The names that programs which embed the operator may use, and what importing them costs a launcher."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

import reconcile_runner
from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.execution.job import RunStatus
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.options import BindAddress
from tests.support.kubeconfigs import write_kubeconfig
from tests.support.paths import REPOSITORY

PUBLIC = {"Engine", "Job", "Manager", "Options", "RunResult", "Watch", "__version__", "load_watches"}


def test_these_names_are_the_public_ones() -> None:
    assert set(reconcile_runner.__all__) == PUBLIC
    assert all(getattr(reconcile_runner, name) is not None for name in PUBLIC)
    other = "AnsibleReconciler"
    with pytest.raises(AttributeError, match=f"no attribute '{other}'"):
        getattr(reconcile_runner, other)


def modules_after(statement: str) -> set[str]:
    """Return the modules that a new interpreter has after a statement."""
    program = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/")
    return set(done.stdout.split())


def test_the_fork_servers_client_loads_nothing_of_the_public_names() -> None:
    # Of the launcher, which loads ansible-runner: tests/engine/test_launcher.py.
    module = "reconcile_runner.execution.forkserver.client"
    loaded = modules_after(f"import {module}")
    assert module in loaded
    packages = {name.split(".")[1] for name in loaded if name.startswith("reconcile_runner.")}
    assert packages <= {"execution", "errors"}
    assert not loaded & {"aiohttp", "kubernetes", "orjson", "pydantic", "structlog", "typer"}


def test_the_package_itself_loads_none_of_its_modules() -> None:
    loaded = modules_after("import reconcile_runner")
    assert {name for name in loaded if name.startswith("reconcile_runner.")} == set()


class NoEngine:
    """Implements ``Engine`` with public names alone."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def start(self) -> None:
        self.calls.append("start")

    async def run(self, job: reconcile_runner.Job, on_event: Callable[[JobEvent], None]) -> reconcile_runner.RunResult:
        return reconcile_runner.RunResult(RunStatus.SUCCESSFUL)

    async def end_remains(self, private_data_dir: Path) -> None:
        self.calls.append("end_remains")

    async def stop(self) -> None:
        self.calls.append("stop")


async def test_a_program_embeds_the_operator_with_these_names(tmp_path: Path) -> None:
    kubeconfig = write_kubeconfig(tmp_path / "kubeconfig")
    role = tmp_path / "roles" / "thing" / "tasks"
    role.mkdir(parents=True)
    (role / "main.yml").write_text("[]")
    path = tmp_path / "watches.yaml"
    path.write_text(
        yaml.safe_dump([{"group": "example.com", "version": "v1", "kind": "Thing", "role": str(role.parent)}])
    )
    options = reconcile_runner.Options(
        kubeconfig=kubeconfig,
        runner_dir=tmp_path / "runs",
        health_probe_bind_address=None,
        metrics_bind_address=BindAddress("127.0.0.1", 0),
        user_metrics_bind_address=None,
    )
    watches = reconcile_runner.load_watches(path)
    assert [watch.gvk for watch in watches] == [GroupVersionKind("example.com", "v1", "Thing")]
    engine, event = NoEngine(), asyncio.Event()
    async with reconcile_runner.Manager(options, watches, engine) as manager:
        assert engine.calls == ["start"]
        event.set()
        await manager.serve(stop=event)
        assert not manager.has_lost_leadership
    assert engine.calls == ["start", "stop"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_manager_serves_only_between_its_start_and_its_stop() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await reconcile_runner.Manager(reconcile_runner.Options(), ()).serve(asyncio.Event())


def test_the_version_is_a_literal_which_the_build_reads() -> None:
    text = (REPOSITORY / "runner/reconcile_runner/__init__.py").read_text()
    assert f'\n__version__ = "{reconcile_runner.__version__}"\n' in text
