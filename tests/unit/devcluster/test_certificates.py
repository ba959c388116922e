from __future__ import annotations

import datetime as dt
import ssl
import threading
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from reconcile_devcluster import certificates
from reconcile_devcluster.certificates import Pki, ensure_pki, issue_client_certificate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    made = Pki(tmp_path / "pki")
    ensure_pki(made)
    return made


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> None:
    """Let the two contexts talk in memory until both are content."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "kubernetes.default.svc", "10.0.0.1"])
def test_a_strict_client_accepts_the_server_certificate(pki: Pki, name: str) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pki.server_certificate, pki.server_key)
    client = ssl.create_default_context(cafile=str(pki.ca_certificate))
    # The default of Python 3.13, asked for here on every Python.
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    _handshake(server, client, name)


def test_the_ca_says_critically_that_it_is_one(pki: Pki) -> None:
    ca = x509.load_pem_x509_certificate(pki.ca_certificate.read_bytes())
    constraints = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = ca.extensions.get_extension_for_class(x509.KeyUsage)
    assert constraints.critical
    assert constraints.value.ca
    assert usage.critical
    assert usage.value.key_cert_sign


def test_keys_can_be_read_by_their_owner_alone(pki: Pki) -> None:
    for path in pki.directory.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    assert pki.directory.stat().st_mode & 0o777 == 0o700


def test_what_is_there_is_kept(pki: Pki) -> None:
    before = {path: path.read_bytes() for path in pki.directory.iterdir()}
    ensure_pki(pki)
    assert {path: path.read_bytes() for path in pki.directory.iterdir()} == before


def test_what_expires_soon_is_made_anew_but_tokens_stay_valid(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "_LIFETIME", dt.timedelta(days=20))
    pki.server_certificate.unlink()
    ensure_pki(pki)
    old_certificate, old_key = pki.server_certificate.read_bytes(), pki.service_account_key.read_bytes()
    monkeypatch.undo()
    ensure_pki(pki)
    assert pki.server_certificate.read_bytes() != old_certificate
    assert pki.service_account_key.read_bytes() == old_key


def test_a_new_address_gets_a_new_certificate_of_the_same_ca(pki: Pki) -> None:
    ca = pki.ca_certificate.read_bytes()
    ensure_pki(pki, "10.213.1.1")
    names = _names_of(pki)
    assert {"127.0.0.1", "10.0.0.1", "10.213.1.1"} == {str(one) for one in names}
    assert pki.ca_certificate.read_bytes() == ca
    before = pki.server_certificate.read_bytes()
    ensure_pki(pki)
    assert pki.server_certificate.read_bytes() == before


def test_a_certificate_of_another_ca_is_made_anew(pki: Pki, tmp_path: Path) -> None:
    other = Pki(tmp_path / "other")
    ensure_pki(other)
    pki.server_certificate.write_bytes(other.server_certificate.read_bytes())
    ensure_pki(pki)
    issuer = x509.load_pem_x509_certificate(pki.ca_certificate.read_bytes())
    x509.load_pem_x509_certificate(pki.server_certificate.read_bytes()).verify_directly_issued_by(issuer)


def _names_of(pki: Pki) -> list[object]:
    certificate = x509.load_pem_x509_certificate(pki.server_certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return list(names.get_values_for_type(x509.IPAddress))


def test_a_damaged_certificate_is_made_anew(pki: Pki) -> None:
    pki.ca_certificate.write_text("damaged")
    ensure_pki(pki)
    assert x509.load_pem_x509_certificate(pki.ca_certificate.read_bytes())


def test_a_client_certificate_names_user_and_groups(pki: Pki) -> None:
    pem, key = issue_client_certificate(pki, "alice", ["readers", "testers"])
    certificate = x509.load_pem_x509_certificate(pem)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(pki.ca_certificate.read_bytes()))
    values = [attribute.value for attribute in certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    assert values == ["readers", "testers"]
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "alice"
    assert b"PRIVATE KEY" in key


def test_a_private_file_is_never_seen_half_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = {b"a" * 200_000, b"b" * 200_000}
    certificates.write_private(path, b"a" * 200_000)
    stop = threading.Event()
    seen: set[bytes] = set()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_bytes())

    reader = threading.Thread(target=read, name="reader")
    reader.start()
    for _ in range(50):
        for content in sorted(contents):
            certificates.write_private(path, content)
    stop.set()
    reader.join()
    assert seen <= contents
