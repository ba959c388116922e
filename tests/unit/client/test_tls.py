"""Certificates of clients and authorities that others renew while requests go on."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from reconcile_runner.client import HttpClient, Upgraded
from reconcile_runner.client.config import Cluster
from reconcile_runner.client.credentials import StaticCredentials
from reconcile_runner.client.tls import ClientTls, make_context
from reconcile_runner.errors import ApiUnreachableError, ConfigError
from reconcile_runner.server.certwatcher import CertWatcher, serving_context
from tests.support.fakes.certificates import write_certificate
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.faultserver import FaultServer, answering, fault_server, streaming
from tests.support.fakes.wire import ADDED, PATH, watched


def trusting(authority: Path) -> ClientTls:
    def make() -> ssl.SSLContext:
        try:
            return make_context(authority, "", verify=True)
        except OSError as error:
            raise ConfigError(f"{authority}: expected a PEM certificate: {error}") from error

    return ClientTls(make, [authority])


def client_of(server: FaultServer, tls: ClientTls) -> HttpClient:
    return HttpClient(Cluster(server.url, tls, StaticCredentials(), server_name="localhost"), FakeClock())


async def test_a_new_authority_counts_for_requests_forwards_upgrades_and_watches(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    trusted = tmp_path / "ca.crt"
    presented = serving_context(CertWatcher(tmp_path / "tls.crt", tmp_path / "tls.key"))
    async with fault_server(presented) as server, client_of(server, trusting(trusted)) as client:
        server.on(PATH, answering(200, {}))
        await client.get(PATH)
        write_certificate(tmp_path)
        # Its connection would do for a request; a watch needs one of its own, and so does whoever trusts another now.
        server.on(PATH, streaming(ADDED))
        assert len(await watched(client)) == 1
        server.on(PATH, answering(200, {}, {"Connection": "close"}))
        await client.get(PATH)
        (await client.forward("GET", PATH, {}, None)).release()
        server.on(PATH, answering(101))
        upgraded = await client.upgrade("POST", PATH, {"Upgrade": "SPDY/3.1"}, b"")
        assert isinstance(upgraded, Upgraded)
        upgraded.close()


async def test_an_authority_that_has_gone_is_trusted_no_longer(tmp_path: Path) -> None:
    write_certificate(tmp_path / "server")
    trusted = tmp_path / "ca.crt"
    trusted.write_bytes((tmp_path / "server" / "ca.crt").read_bytes())
    presented = serving_context(CertWatcher(tmp_path / "server" / "tls.crt", tmp_path / "server" / "tls.key"))
    async with fault_server(presented) as server, client_of(server, trusting(trusted)) as client:
        server.on(PATH, answering(200, {}))
        await client.get(PATH)
        write_certificate(tmp_path / "other")
        trusted.write_bytes((tmp_path / "other" / "ca.crt").read_bytes())
        with pytest.raises(ApiUnreachableError, match="certificate verify failed"):
            await client.get(PATH)


@pytest.mark.parametrize("content", ["", "not PEM", None], ids=["empty", "not PEM", "gone"])
async def test_an_authority_that_cannot_be_read_leaves_the_last_one(content: str | None, tmp_path: Path) -> None:
    write_certificate(tmp_path)
    authority = tmp_path / "ca.crt"
    tls = trusting(authority)
    before = tls.context()
    authority.unlink() if content is None else authority.write_text(content)
    with capture_logs() as lines:
        assert tls.context() is before
        assert tls.context() is before
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "new certificates cannot be used, keeping the previous ones")
    ]
    authority.write_bytes((tmp_path / "tls.crt").read_bytes())
    assert tls.context() is not before


async def test_a_plugins_client_certificate_outlives_the_change_of_an_authority(tmp_path: Path) -> None:
    for name in ("server", "client", "other"):
        write_certificate(tmp_path / name)
    asking = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "client" / "ca.crt"))
    asking.verify_mode = ssl.CERT_REQUIRED
    asking.load_cert_chain(tmp_path / "server" / "tls.crt", tmp_path / "server" / "tls.key")
    trusted = tmp_path / "ca.crt"
    trusted.write_bytes((tmp_path / "server" / "ca.crt").read_bytes())
    tls = trusting(trusted)
    tls.present(*((tmp_path / "client" / name).read_text() for name in ("tls.crt", "tls.key")))
    async with fault_server(asking) as server, client_of(server, tls) as client:
        server.on(PATH, answering(200, {}))
        await client.get(PATH)
        with trusted.open("ab") as file:
            file.write((tmp_path / "other" / "ca.crt").read_bytes())
        await client.get(PATH)
        assert tls.context().cert_store_stats()["x509"] == 2


async def test_a_plugins_certificate_that_does_not_fit_its_key_is_an_error(tmp_path: Path) -> None:
    write_certificate(tmp_path)
    write_certificate(tmp_path / "other")
    certificate, key = (tmp_path / "tls.crt").read_text(), (tmp_path / "other" / "tls.key").read_text()
    with pytest.raises(ssl.SSLError):
        trusting(tmp_path / "tls.crt").present(certificate, key)
