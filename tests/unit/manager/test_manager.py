"""Start and stop of all parts, against an API server that does not answer: what works without one, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from structlog.testing import capture_logs

from reconcile_runner.apimachinery.objects import GroupVersionKind
from reconcile_runner.backoff import RetryDelays
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ConfigError
from reconcile_runner.leaderelection import Leadership, Unopposed
from reconcile_runner.manager import build, manager, servers
from reconcile_runner.manager.run import run
from reconcile_runner.metrics import Metrics
from reconcile_runner.options import BindAddress, ElectionSettings, Options
from reconcile_runner.watches.watch import Watch
from tests.support.fakes.engine import FakeEngine
from tests.support.kubeconfigs import write_kubeconfig

LOOPBACK = BindAddress("127.0.0.1", 0)
WATCH = Watch(GroupVersionKind("example.com", "v1", "Thing"), role=Path("/roles/thing"))


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(
        kubeconfig=write_kubeconfig(tmp_path / "kubeconfig"),
        runner_dir=tmp_path / "runs",
        health_probe_bind_address=LOOPBACK,
        metrics_bind_address=LOOPBACK,
    )


async def get(address: str, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as answer:
        return answer.status, await answer.text()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what no event tells of: the answer of a server."""
    for _ in range(2000):
        if await condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("waited 20 s in vain")


async def test_without_an_api_server_it_is_alive_not_ready_and_ends_with_zero(options: Options) -> None:
    with capture_logs() as lines:
        serving = asyncio.create_task(run(options, (WATCH,), FakeEngine()))

        async def is_served() -> bool:
            return any(line["event"] == "metrics endpoint listening" for line in lines)

        async def says_what_is_missing() -> bool:
            status, text = await get(probes, "/readyz")
            return status == 500 and "Kind=Thing" in text

        async def has_counted_failures() -> bool:
            return 'rest_client_requests_total{code="<error>"' in (await get(metrics, "/metrics"))[1]

        await until(is_served)
        addresses = {line["event"]: line["address"] for line in lines if "address" in line}
        probes, metrics = addresses["health probes listening"], addresses["metrics endpoint listening"]
        await until(says_what_is_missing)
        assert (await get(probes, "/healthz"))[0] == 200
        await until(has_counted_failures)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await serving == 0
    assert [line["event"] for line in lines][-2:] == ["stopping", "stopped"]


async def test_a_kubeconfig_that_is_missing_makes_a_start_impossible(options: Options, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no-such-file"):
        await run(replace(options, kubeconfig=tmp_path / "no-such-file"), (WATCH,), FakeEngine())


async def test_a_part_that_cannot_start_leaves_none_running(options: Options) -> None:
    taken = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with taken:
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(ConfigError, match="--metrics-bind-address"):
            await run(replace(options, metrics_bind_address=BindAddress("127.0.0.1", port)), (WATCH,), FakeEngine())
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(
    ("base", "cap", "expected"),
    [(None, None, RetryDelays(2.0, 60.0)), (1.0, None, RetryDelays(1.0, 60.0)), (None, 5.0, RetryDelays(2.0, 5.0))],
    ids=["flags", "base", "cap"],
)
def test_a_watchs_retry_delays_win_over_the_flags(
    base: float | None, cap: float | None, expected: RetryDelays, options: Options
) -> None:
    watch = replace(WATCH, failure_backoff_base=base, failure_backoff_cap=cap)
    assert build._retry_delays(replace(options, retry_delays=RetryDelays(2.0, 60.0)), watch) == expected


@pytest.mark.parametrize(("own", "expected"), [(None, 36000.0), (60.0, 60.0), (0.0, 0.0)])
def test_a_watchs_reconcile_period_wins_over_the_flag(own: float | None, expected: float, options: Options) -> None:
    assert build._with_period(replace(WATCH, reconcile_period=own), options).reconcile_period == expected


@pytest.mark.parametrize(("flag", "expected"), [(60.0, 60.0), (0.0, None)], ids=["limit", "zero is none"])
def test_the_run_timeout_of_the_flag_is_that_of_runs(flag: float, expected: float | None, options: Options) -> None:
    assert build._run_settings(replace(options, run_timeout=flag), {}).timeout == expected


def test_a_cap_below_the_base_is_the_delay_from_the_first_retry_on() -> None:
    delays = RetryDelays(60.0, 5.0)
    assert [delays.after(failures) for failures in (1, 2, 1000)] == [5.0, 5.0, 5.0]


async def test_a_taken_port_for_roles_metrics_is_an_error_only_where_it_was_asked_for(options: Options) -> None:
    taken = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with taken:
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(ConfigError, match="--user-metrics-bind-address: cannot listen on"):
            await run(
                replace(options, user_metrics_bind_address=BindAddress("127.0.0.1", port)), (WATCH,), FakeEngine()
            )


async def test_two_operators_on_one_machine_both_take_metrics_of_roles(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with taken:
        port = taken.sockets[0].getsockname()[1]
        default = BindAddress("127.0.0.1", port)
        monkeypatch.setattr(servers, "USER_METRICS_BIND_ADDRESS", default)
        with capture_logs() as lines:
            serving = asyncio.create_task(
                run(replace(options, user_metrics_bind_address=default), (WATCH,), FakeEngine())
            )

            async def is_taken() -> bool:
                return any(line["event"] == "user metrics endpoint listening" for line in lines)

            await until(is_taken)
            [address] = [line["address"] for line in lines if line["event"] == "user metrics endpoint listening"]
            body = b'{"name": "backups", "gauge": {"set": 0}}'
            url = f"http://{address}/metrics"
            async with aiohttp.ClientSession() as session, session.post(url, data=body) as answer:
                assert answer.status == 200
            [metrics] = [line["address"] for line in lines if line["event"] == "metrics endpoint listening"]
            assert "backups 0.0" in (await get(metrics, "/metrics"))[1]
            os.kill(os.getpid(), signal.SIGTERM)
            assert await serving == 0
    [warning] = [line for line in lines if line["event"].startswith("user metrics port is taken")]
    assert f"127.0.0.1:{port}" in warning["error"]


class LostLeadership(Unopposed):
    """Loses as soon as it is run."""

    def __init__(self, on_loss: Callable[[], None]) -> None:
        self._on_loss = on_loss

    async def run(self) -> None:
        self.is_lost = True
        self._on_loss()


async def test_a_lost_lease_ends_the_operator_with_an_exit_code_of_its_own(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = []

    @asynccontextmanager
    async def join(
        options: Options,
        metrics: Metrics,
        clock: Clock,
        on_loss: Callable[[], None],
        extend_runs: Callable[[float], None],
    ) -> AsyncIterator[Leadership]:
        yield LostLeadership(on_loss)
        left.append("the election")

    monkeypatch.setattr(manager, "join", join)
    assert await run(options, (WATCH,), FakeEngine()) == 1
    assert left == ["the election"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_operator_that_stands_by_ends_when_it_is_told_to(
    options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    election = ElectionSettings("my-operator", "shop")
    with capture_logs() as lines:
        serving = asyncio.create_task(run(replace(options, election=election), (WATCH,), FakeEngine()))

        async def campaigns() -> bool:
            return any(line["event"] == "campaigning for the lease" for line in lines)

        await until(campaigns)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await serving == 0
