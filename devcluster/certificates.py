"""Keys and certificates of one control plane: its CA, the API server's, the ServiceAccount key, and those of users.

Written once into the data directory by `controlplane`, and again when they are about to expire. Python 3.13 verifies
certificates strictly (`VERIFY_X509_STRICT`): basicConstraints and keyUsage of the CA are critical, and both key
identifiers are there.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SERVICE_CLUSTER_IP_RANGE = "10.0.0.0/24"
"""Range of Service addresses; the API server's own Service gets the first one."""

_LIFETIME = dt.timedelta(days=3650)
_RENEW_BEFORE = dt.timedelta(days=30)
_CLOCK_SKEW = dt.timedelta(hours=1)

_SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
_SERVER_ADDRESSES = ("127.0.0.1", "10.0.0.1")


@dataclass(frozen=True, slots=True)
class Pki:
    """Files of keys and certificates, all PEM.

    Attributes:
        directory: Where they lie, mode 0700.

    """

    directory: Path

    @property
    def ca_certificate(self) -> Path:
        """Certificate of the CA that signs the server and the users."""
        return self.directory / "ca.crt"

    @property
    def ca_key(self) -> Path:
        """Key of the CA."""
        return self.directory / "ca.key"

    @property
    def server_certificate(self) -> Path:
        """Certificate of the API server."""
        return self.directory / "apiserver.crt"

    @property
    def server_key(self) -> Path:
        """Key of the API server."""
        return self.directory / "apiserver.key"

    @property
    def service_account_key(self) -> Path:
        """Key that signs ServiceAccount tokens; the API server reads the public half from it too."""
        return self.directory / "service-account.key"


def ensure_pki(pki: Pki) -> None:
    """Create what is missing or expires within 30 days. Keys of ServiceAccounts are kept."""
    pki.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not pki.service_account_key.exists():
        write_private(pki.service_account_key, _key_pem(ec.generate_private_key(ec.SECP256R1())))
    if _is_current(pki.server_certificate) and _is_current(pki.ca_certificate) and pki.server_key.exists():
        return
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_certificate = _self_signed(ca_key)
    server_key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in _SERVER_NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in _SERVER_ADDRESSES]
    server_certificate = (
        _leaf("kube-apiserver", (), server_key, ca_certificate, ExtendedKeyUsageOID.SERVER_AUTH)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    write_private(pki.ca_key, _key_pem(ca_key))
    write_private(pki.server_key, _key_pem(server_key))
    write_private(pki.ca_certificate, _certificate_pem(ca_certificate))
    # Last, because its presence is what says that the set is whole.
    write_private(pki.server_certificate, _certificate_pem(server_certificate))


def issue_client_certificate(pki: Pki, user: str, groups: Sequence[str]) -> tuple[bytes, bytes]:
    """Sign a certificate that the API server takes for `user` in `groups`, without a restart.

    Returns:
        Certificate and key, both PEM.

    """
    ca_key = serialization.load_pem_private_key(pki.ca_key.read_bytes(), password=None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{pki.ca_key}: found {type(ca_key).__name__}, expected an elliptic curve key")
    ca_certificate = x509.load_pem_x509_certificate(pki.ca_certificate.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _leaf(user, groups, key, ca_certificate, ExtendedKeyUsageOID.CLIENT_AUTH)
    return _certificate_pem(builder.sign(ca_key, hashes.SHA256())), _key_pem(key)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file by one that only its owner can read (0600), all at once."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)


def _is_current(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError:
        return False
    return certificate.not_valid_after_utc - _RENEW_BEFORE > dt.datetime.now(dt.UTC)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _self_signed(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    public = key.public_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "devcluster-ca")])
    return (
        _builder(name, name, public)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(certificate_authority=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    common_name: str,
    organizations: Sequence[str],
    key: ec.EllipticCurvePrivateKey,
    ca_certificate: x509.Certificate,
    purpose: x509.ObjectIdentifier,
) -> x509.CertificateBuilder:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
    subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    ca_identifier = ca_certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        _builder(subject, ca_certificate.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(certificate_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_identifier), critical=False)
    )


def _key_usage(*, certificate_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=certificate_authority,
        crl_sign=certificate_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # The API server reads the public half of a ServiceAccount key from this form only, not from PKCS #8.
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
