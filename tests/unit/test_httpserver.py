"""Probes and metrics over real HTTP on loopback."""

from __future__ import annotations

import aiohttp
import pytest

from runner.errors import ConfigError
from runner.healthz import Checks, Probe
from runner.httpserver import health_server, metrics_server
from runner.metrics import Metrics
from runner.options import BindAddress

ANY_PORT = BindAddress("127.0.0.1", 0)


async def ask(address: BindAddress, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{address.port}{path}") as answer:
        return answer.status, await answer.text()


async def test_probes_answer_ok_or_500_with_the_reason() -> None:
    checks = Checks()
    checks.add(Probe.READYZ, "caches", lambda: "Foo has not been listed yet")
    server = health_server(ANY_PORT, checks)
    await server.start()
    try:
        assert await ask(server.address, "/healthz") == (200, "ok")
        status, text = await ask(server.address, "/readyz")
        assert (status, "Foo has not been listed yet" in text) == (500, True)
        status, text = await ask(server.address, "/healthz?verbose")
        assert "[+]ping ok" in text
        assert (await ask(server.address, "/other"))[0] == 404
    finally:
        await server.stop()


async def test_metrics_are_served_as_prometheus_reads_them() -> None:
    server = metrics_server(ANY_PORT, Metrics("1.2.3", "abc"))
    await server.start()
    try:
        status, text = await ask(server.address, "/metrics")
    finally:
        await server.stop()
    assert status == 200
    assert 'ansible_operator_build_info{commit="abc",version="1.2.3"} 1.0' in text


async def test_a_port_that_is_taken_is_a_sentence_with_the_flag() -> None:
    first = health_server(ANY_PORT, Checks())
    await first.start()
    try:
        with pytest.raises(ConfigError, match=r"--health-probe-bind-address: cannot listen on 127\.0\.0\.1:\d+"):
            await health_server(first.address, Checks()).start()
    finally:
        await first.stop()
