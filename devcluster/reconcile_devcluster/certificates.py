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
from cryptography.exceptions import InvalidSignature
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


def ensure_pki(pki: Pki, address: str = "127.0.0.1") -> None:
    """Create what is missing or expires within 30 days. Keys of ServiceAccounts are kept, and so is the CA.

    Args:
        pki: Where the files are.
        address: IPv4 address the API server listens on; its certificate is issued again where it lacks it.

    """
    pki.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not pki.service_account_key.exists():
        write_private(pki.service_account_key, _key_pem(ec.generate_private_key(ec.SECP256R1())))
    if _read_current(pki.ca_certificate) is None or not pki.ca_key.exists():
        ca_key = ec.generate_private_key(ec.SECP256R1())
        write_private(pki.ca_key, _key_pem(ca_key))
        write_private(pki.ca_certificate, _certificate_pem(_self_signed(ca_key)))
    if not (_serves_at(pki, address) and pki.server_key.exists()):
        addresses = (*_SERVER_ADDRESSES, address)
        certificate, key = issue_server_certificate(pki, "kube-apiserver", _SERVER_NAMES, addresses)
        write_private(pki.server_key, key)
        # Last, because its presence is what says that the set is whole.
        write_private(pki.server_certificate, certificate)


def issue_client_certificate(pki: Pki, user: str, groups: Sequence[str]) -> tuple[bytes, bytes]:
    """Sign a certificate that the API server takes for `user` in `groups`, without a restart.

    Returns:
        Certificate and key, both PEM.

    """
    ca_key, ca_certificate = _load_ca(pki)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _leaf(user, groups, key, ca_certificate, ExtendedKeyUsageOID.CLIENT_AUTH)
    return _certificate_pem(builder.sign(ca_key, hashes.SHA256())), _key_pem(key)


def issue_server_certificate(
    pki: Pki, common_name: str, names: Sequence[str], addresses: Sequence[str]
) -> tuple[bytes, bytes]:
    """Sign a certificate for a server.

    Args:
        pki: The CA.
        common_name: What the server is called.
        names: DNS names it answers to.
        addresses: IP addresses it answers to; one may be there twice.

    Returns:
        Certificate and key, both PEM.

    """
    ca_key, ca_certificate = _load_ca(pki)
    key = ec.generate_private_key(ec.SECP256R1())
    subject: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    subject += [x509.IPAddress(ipaddress.ip_address(address)) for address in dict.fromkeys(addresses)]
    builder = _leaf(common_name, (), key, ca_certificate, ExtendedKeyUsageOID.SERVER_AUTH).add_extension(
        x509.SubjectAlternativeName(subject), critical=False
    )
    return _certificate_pem(builder.sign(ca_key, hashes.SHA256())), _key_pem(key)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file by one that only its owner can read (0600), all at once."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.replace(path)


def _load_ca(pki: Pki) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = serialization.load_pem_private_key(pki.ca_key.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{pki.ca_key}: found {type(key).__name__}, expected an elliptic curve key")
    return key, x509.load_pem_x509_certificate(pki.ca_certificate.read_bytes())


def _serves_at(pki: Pki, address: str) -> bool:
    """Whether the API server's certificate is current, of this CA, and for an address."""
    certificate = _read_current(pki.server_certificate)
    if certificate is None:
        return False
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(pki.ca_certificate.read_bytes()))
    except (ValueError, InvalidSignature):
        return False
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return ipaddress.ip_address(address) in names.get_values_for_type(x509.IPAddress)


def _read_current(path: Path) -> x509.Certificate | None:
    """Certificate of a file; None where there is none, or it expires soon."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return certificate if certificate.not_valid_after_utc - _RENEW_BEFORE > dt.datetime.now(dt.UTC) else None


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
