"""Joining an election, or none."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from reconcile_runner import leaderelection
from reconcile_runner.clock import SystemClock
from reconcile_runner.errors import ConfigError
from reconcile_runner.leaderelection import Leadership, Unopposed, join
from reconcile_runner.leaderelection.deadline import DeadlineTimer
from reconcile_runner.leaderelection.elector import Elector
from reconcile_runner.metrics import Metrics
from reconcile_runner.options import ElectionSettings, Options
from tests.support.fakes.leases import FakeDeadlineTimer
from tests.support.kubeconfigs import write_kubeconfig

STATUS = "leader_election_master_status"


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    return write_kubeconfig(tmp_path / "kubeconfig")


@pytest.fixture(autouse=True)
def no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    def timer(_extend_runs: Callable[[float], None]) -> DeadlineTimer:
        return FakeDeadlineTimer(SystemClock().monotonic)

    monkeypatch.setattr(leaderelection, "KernelTimer", timer)


def never() -> None:
    pytest.fail("nothing was lost")


def ignore(_seconds: float) -> None:
    pass


def test_both_are_leaderships() -> None:
    implementations: list[type[Leadership]] = [Unopposed, Elector]
    assert len(implementations) == 2


async def test_without_an_election_one_acts_at_once_and_no_metric_speaks_of_it(kubeconfig: Path) -> None:
    metrics = Metrics()
    async with join(Options(kubeconfig=kubeconfig), metrics, SystemClock(), never, ignore) as leadership:
        running = asyncio.create_task(leadership.run())
        await asyncio.wait_for(leadership.wait_elected(), 1)
        assert (leadership.is_leading(), leadership.is_lost) == (True, False)
        assert not running.done()
        running.cancel()
    assert STATUS + "{" not in metrics.exposition().decode()


async def test_a_standby_is_shown_as_such_and_leaves_without_an_api_server(kubeconfig: Path) -> None:
    metrics = Metrics()
    options = Options(kubeconfig=kubeconfig, election=ElectionSettings("my-operator", "shop"))
    async with join(options, metrics, SystemClock(), never, ignore) as leadership:
        running = asyncio.create_task(leadership.run())
        await asyncio.sleep(0.1)
        assert not leadership.is_leading()
        assert metrics.registry.get_sample_value(STATUS, {"name": "my-operator"}) == 0
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert 'code="<error>"' in metrics.exposition().decode()


async def test_in_a_pod_the_lease_is_in_its_namespace(kubeconfig: Path, tmp_path: Path) -> None:
    (tmp_path / "namespace").write_text("shop\n")
    options = Options(kubeconfig=kubeconfig, election=ElectionSettings("my-operator"))
    joined = join(options, Metrics(), SystemClock(), never, ignore, namespace_file=tmp_path / "namespace")
    async with joined as leadership:
        assert isinstance(leadership, Elector)
        assert leadership.lease == "shop/my-operator"


async def test_elsewhere_the_namespace_must_be_said(kubeconfig: Path, tmp_path: Path) -> None:
    options = Options(kubeconfig=kubeconfig, election=ElectionSettings("my-operator"))
    joined = join(options, Metrics(), SystemClock(), never, ignore, namespace_file=tmp_path / "none")
    with pytest.raises(ConfigError, match=r"--leader-election-namespace: found none, expected .*none: No such file"):
        async with joined:
            pass


def test_each_process_has_a_name_of_its_own_that_tells_its_host() -> None:
    names = {leaderelection.new_identity() for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith(f"{socket.gethostname()}_") for name in names)
