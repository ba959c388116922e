"""The certificate of the metrics' server: over real TLS on loopback, as a client of it sees it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from structlog.testing import capture_logs

from reconcile_runner.errors import ConfigError
from reconcile_runner.options import SecureServing
from reconcile_runner.server import certwatcher
from reconcile_runner.server.certwatcher import (
    CertWatcher,
    SelfSigned,
    ServingCertificate,
    open_certificate,
    serving_context,
)
from tests.support.fakes.certificates import write_certificate
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.projected import Projected

ANYTHING = ssl.create_default_context()
ANYTHING.check_hostname = False
ANYTHING.verify_mode = ssl.CERT_NONE


@asynccontextmanager
async def served(certificate: ServingCertificate) -> AsyncIterator[int]:
    """Listen with the certificate; yields the port."""

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0, ssl=serving_context(certificate))
    async with server:
        yield server.sockets[0].getsockname()[1]


async def handshake(port: int, client: ssl.SSLContext, host: str = "localhost") -> ssl.SSLObject:
    """Return the connection that was made; raises ``ssl.SSLError`` where client and server do not agree."""
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=host)
    made: ssl.SSLObject = writer.get_extra_info("ssl_object")
    writer.close()
    return made


async def presented(port: int, host: str = "localhost") -> x509.Certificate:
    der = (await handshake(port, ANYTHING, host)).getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def pair(directory: Path) -> CertWatcher:
    return CertWatcher(directory / "tls.crt", directory / "tls.key")


async def test_a_changed_certificate_is_presented_at_the_next_handshake(tmp_path: Path) -> None:
    old = write_certificate(tmp_path)
    async with served(pair(tmp_path)) as port:
        await handshake(port, old)
        new = write_certificate(tmp_path)
        with capture_logs() as lines:
            await handshake(port, new)
            await handshake(port, new)
        assert [line["event"] for line in lines] == ["certificates reloaded"]
        with pytest.raises(ssl.SSLCertVerificationError):
            await handshake(port, old)


async def test_a_secret_that_the_kubelet_swaps_is_followed(tmp_path: Path) -> None:
    clients = [write_certificate(tmp_path / name) for name in ("old", "new")]
    volume = Projected(tmp_path / "volume")

    def project(source: Path) -> None:
        volume.write(tls_crt=(source / "tls.crt").read_text(), tls_key=(source / "tls.key").read_text())

    project(tmp_path / "old")
    async with served(pair(volume.directory)) as port:
        await handshake(port, clients[0])
        project(tmp_path / "new")
        await handshake(port, clients[1])


@pytest.mark.parametrize("spoilt", ["tls.crt", "tls.key", "only one", "gone"])
async def test_what_cannot_be_used_leaves_the_last_pair_until_it_can(spoilt: str, tmp_path: Path) -> None:
    old = write_certificate(tmp_path)
    async with served(pair(tmp_path)) as port:
        before = (tmp_path / "tls.key").read_bytes()
        new = write_certificate(tmp_path)
        after = {name: (tmp_path / name).read_bytes() for name in ("tls.crt", "tls.key")}
        if spoilt == "only one":
            (tmp_path / "tls.key").write_bytes(before)
        elif spoilt == "gone":
            (tmp_path / "tls.crt").unlink()
        else:
            (tmp_path / spoilt).write_text("not PEM")
        with capture_logs() as lines:
            await handshake(port, old)
            await handshake(port, old)
        assert [line["event"] for line in lines] == ["new certificates cannot be used, keeping the previous ones"]
        for name, content in after.items():
            (tmp_path / name).write_bytes(content)
        await handshake(port, new)


@pytest.mark.parametrize("content", [None, "", "not PEM"], ids=["missing", "empty", "not PEM"])
@pytest.mark.parametrize("name", ["tls.crt", "tls.key"])
def test_files_that_cannot_be_used_at_the_start_make_it_impossible(
    name: str, content: str | None, tmp_path: Path
) -> None:
    write_certificate(tmp_path)
    (tmp_path / name).unlink() if content is None else (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=rf"--metrics-cert-path: .*{name}.*: expected a PEM certificate and its key"):
        open_certificate(SecureServing(tmp_path), FakeClock())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", ""], ids=["name", "address", "nothing said"])
async def test_without_files_a_certificate_is_made(host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certwatcher, "DEFAULT_CERT_DIR", tmp_path / "none")
    certificate = open_certificate(SecureServing(), FakeClock())
    assert certificate.name == "self-signed"
    async with served(certificate) as port:
        names = (await presented(port, host)).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert list(tmp_path.iterdir()) == []


async def test_upstreams_default_directory_is_used_where_it_has_both_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certwatcher, "DEFAULT_CERT_DIR", tmp_path)
    client = write_certificate(tmp_path)
    async with served(open_certificate(SecureServing(), FakeClock())) as port:
        await handshake(port, client)
    (tmp_path / "tls.key").unlink()
    assert open_certificate(SecureServing(), FakeClock()).name == "self-signed"


async def test_a_made_certificate_is_made_again_before_it_ends() -> None:
    clock = FakeClock()
    async with served(SelfSigned(clock)) as port:
        first = await presented(port)
        assert first.not_valid_before_utc < clock.now() < first.not_valid_after_utc
        await clock.advance(certwatcher.SELF_SIGNED_VALIDITY.total_seconds() - 2 * 86400)
        assert await presented(port) == first
        await clock.advance(86400)
        second = await presented(port)
        assert second.not_valid_after_utc > first.not_valid_after_utc


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=str)
async def test_http_1_is_what_is_spoken_over_tls(version: ssl.TLSVersion) -> None:
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.maximum_version = version
    client.set_alpn_protocols(["h2", "http/1.1"])
    async with served(SelfSigned(FakeClock())) as port:
        assert (await handshake(port, client)).selected_alpn_protocol() == "http/1.1"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
async def test_tls_older_than_1_2_is_refused() -> None:
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    # The lowest level of security, without which the client itself would not offer it.
    client.set_ciphers("ALL:@SECLEVEL=0")
    client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_1
    async with served(SelfSigned(FakeClock())) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await handshake(port, client)
    # Also where the machine's OpenSSL would allow it.
    assert serving_context(SelfSigned(FakeClock())).minimum_version is ssl.TLSVersion.TLSv1_2
