"""Probes and metrics over real HTTP on loopback."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

import aiohttp
import pytest

from reconcile_runner.errors import ConfigError
from reconcile_runner.metrics import Metrics
from reconcile_runner.options import BindAddress
from reconcile_runner.server.authfilter import Refusal
from reconcile_runner.server.certwatcher import CertWatcher, serving_context
from reconcile_runner.server.healthz import Checks, Probe
from reconcile_runner.server.httpserver import health_server, metrics_server, user_metrics_server
from reconcile_runner.server.usermetrics import UserMetrics
from tests.support.fakes.certificates import write_certificate
from tests.support.fakes.filters import FakeFilter

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
    metrics = Metrics("1.2.3", "abc")
    user_metrics = UserMetrics(metrics)
    user_metrics.apply(b'{"name": "backups", "counter": {"increment": true}}')
    server = metrics_server(ANY_PORT, metrics, user_metrics)
    await server.start()
    try:
        status, text = await ask(server.address, "/metrics")
    finally:
        await server.stop()
    assert status == 200
    assert 'ansible_operator_build_info{commit="abc",version="1.2.3"} 1.0' in text
    assert text.endswith("# TYPE backups counter\nbackups 1.0\n")


async def test_metrics_over_tls_are_served_over_nothing_else(tmp_path: Path) -> None:
    client = write_certificate(tmp_path)
    tls = serving_context(CertWatcher(tmp_path / "tls.crt", tmp_path / "tls.key"))
    metrics = Metrics()
    server = metrics_server(BindAddress("localhost", 0), metrics, UserMetrics(metrics), tls)
    await server.start()
    try:
        url = server.url("/metrics")
        assert url.startswith("https://localhost:")
        async with aiohttp.ClientSession() as session:
            async with session.get(url, ssl=client) as answer:
                assert (answer.status, "ansible_operator_build_info" in await answer.text()) == (200, True)
            with pytest.raises(aiohttp.ClientError):
                await session.get(url.replace("https", "http"))
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (None, (200, "", True)),
        (Refusal(HTTPStatus.UNAUTHORIZED, "Unauthorized"), (401, "Bearer", False)),
        (Refusal(HTTPStatus.FORBIDDEN, "not you"), (403, "", False)),
    ],
    ids=["passes", "unknown", "no right"],
)
async def test_metrics_are_answered_to_whom_the_filter_lets_pass(
    refusal: Refusal | None, expected: tuple[int, str, bool]
) -> None:
    access, metrics = FakeFilter(refusal), Metrics()
    server = metrics_server(ANY_PORT, metrics, UserMetrics(metrics), access=access)
    await server.start()
    try:
        headers = {"Authorization": "Bearer abc"}
        async with aiohttp.ClientSession(headers=headers) as session, session.get(server.url("/metrics")) as answer:
            challenge, text = answer.headers.get("WWW-Authenticate", ""), await answer.text()
            assert (answer.status, challenge, "ansible_operator_build_info" in text) == expected
        async with aiohttp.ClientSession() as session:
            (await session.head(server.url("/metrics"))).release()
    finally:
        await server.stop()
    assert access.asked == [("Bearer abc", "get", "/metrics"), ("", "head", "/metrics")]


@pytest.mark.parametrize(
    ("method", "body", "expected"),
    [
        ("POST", b'{"name": "backups", "counter": {"increment": true}}', (200, "")),
        ("POST", b'{"name": "backups"}', (400, "found none, expected exactly one of")),
        ("POST", b"x" * 100_000, (413, "")),
        ("GET", b"", (405, "")),
        ("PUT", b"{}", (405, "")),
    ],
)
async def test_metrics_of_roles_are_taken_or_refused_with_the_reason(
    method: str, body: bytes, expected: tuple[int, str]
) -> None:
    server = user_metrics_server(ANY_PORT, UserMetrics(Metrics()))
    await server.start()
    try:
        url = server.url("/metrics")
        async with aiohttp.ClientSession() as session, session.request(method, url, data=body) as answer:
            assert (answer.status, expected[1] in await answer.text()) == (expected[0], True)
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("host", "url"),
    [("", "http://127.0.0.1:80/x"), ("localhost", "http://localhost:80/x"), ("::1", "http://[::1]:80/x")],
)
def test_a_url_is_one_that_this_machine_can_use(host: str, url: str) -> None:
    assert health_server(BindAddress(host, 80), Checks()).url("/x") == url


async def test_a_port_that_is_taken_is_a_sentence_with_the_flag() -> None:
    first = health_server(ANY_PORT, Checks())
    await first.start()
    try:
        with pytest.raises(ConfigError, match=r"--health-probe-bind-address: cannot listen on 127\.0\.0\.1:\d+"):
            await health_server(first.address, Checks()).start()
    finally:
        await first.stop()
