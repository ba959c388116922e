"""Credentials that the API server refuses in mid-run."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from reconcile_runner.client.credentials import TokenFile
from reconcile_runner.client.tls import make_context, use_certificate
from reconcile_runner.errors import ApiUnreachableError, UnauthorizedError
from tests.support.fakes.clock import FakeClock
from tests.support.fakes.faultserver import FaultServer, answering, fault_server, streaming
from tests.support.fakes.wire import ADDED, PATH, client_of, only, rewrite_unnoticed, status, watched


async def test_a_certificate_of_an_unknown_authority_is_said_so(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2126, 1, 1, tzinfo=dt.UTC))
        .sign(key, hashes.SHA256())
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    use_certificate(
        tls,
        certificate.public_bytes(Encoding.PEM).decode(),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )
    async with fault_server(tls) as server, client_of(server.url, tls=make_context(None, "", verify=True)) as client:
        with pytest.raises(ApiUnreachableError, match=r"gave no answer: TLS: .*certificate verify failed") as caught:
            await client.get(PATH)
        assert "\n" not in str(caught.value)


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("old\n")
    return path


async def test_a_401_in_mid_run_reads_the_rotated_token_and_tries_once_more(
    server: FaultServer, token_file: Path
) -> None:
    server.on(PATH, only("old"))
    async with client_of(server.url, TokenFile(token_file, FakeClock())) as client:
        await client.get(PATH)
        server.on(PATH, only("new"))
        rewrite_unnoticed(token_file, "new\n")
        await client.patch(PATH, {"a": 1})
    assert [request.headers["authorization"] for request in server.requests] == [
        "Bearer old",
        "Bearer old",
        "Bearer new",
    ]
    assert [request.body for request in server.requests[1:]] == [b'{"a":1}'] * 2


async def test_a_watch_and_a_forwarded_request_try_once_more_too(server: FaultServer, token_file: Path) -> None:
    async with client_of(server.url, TokenFile(token_file, FakeClock())) as client:
        rewrite_unnoticed(token_file, "new\n")
        server.on(PATH, only("new"))
        answer = await client.forward("POST", PATH, {}, b"body")
        assert answer.status == 200
        answer.release()
    async with client_of(server.url, TokenFile(token_file, FakeClock())) as client:
        rewrite_unnoticed(token_file, "newer\n")
        server.on(PATH, answering(401, status(401, "Unauthorized")), streaming(ADDED))
        assert len(await watched(client)) == 1


@pytest.mark.parametrize("content", ["old\n", ""], ids=["unchanged", "empty at that moment"])
async def test_a_401_without_a_new_token_is_raised_and_not_repeated(
    server: FaultServer, token_file: Path, content: str
) -> None:
    server.on(PATH, answering(401, status(401, "Unauthorized")))
    async with client_of(server.url, TokenFile(token_file, FakeClock())) as client:
        rewrite_unnoticed(token_file, content)
        with pytest.raises(UnauthorizedError):
            await client.get(PATH)
    assert len(server.requests) == 1


async def test_a_body_that_cannot_be_sent_twice_is_not(server: FaultServer, token_file: Path) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"one"

    server.on(PATH, only("new"))
    async with client_of(server.url, TokenFile(token_file, FakeClock())) as client:
        rewrite_unnoticed(token_file, "new\n")
        answer = await client.forward("POST", PATH, {}, body())
        assert answer.status == 401
        answer.release()
    assert [request.body for request in server.requests] == [b"one"]
