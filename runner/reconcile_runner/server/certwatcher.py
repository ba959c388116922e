"""The certificate of a server: from files that are renewed, or self-signed.

Each handshake asks whether there is a newer certificate: that takes no task and no watch of a file, and misses no
change. Source of names and behaviour: controller-runtime's certwatcher and metrics server.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from reconcile_runner.client.tls import FileContext, use_certificate
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ConfigError
from reconcile_runner.logs import get_logger
from reconcile_runner.options import DEFAULT_CERT_DIR, SecureServing
from reconcile_runner.server.trustedfiles import trusted_users, untrusted_step

SELF_SIGNED_VALIDITY: Final = dt.timedelta(days=365)
"""How long a certificate that is made here is valid; another takes its place a day before its end."""
_VALIDITY_MARGIN: Final = dt.timedelta(days=1)
_MIN_TLS_VERSION: Final = ssl.TLSVersion.TLSv1_2
_PROTOCOLS: Final = ["http/1.1"]

_log = get_logger(__name__)


class ServingCertificate(Protocol):
    """The certificate that a server presents. ``name`` is for the log."""

    name: str

    def current(self) -> ssl.SSLContext:
        """Return what the next handshake uses.

        Called in the event loop at each; does not raise.
        """


class CertWatcher:
    """A certificate and its key in two files, read again when one of them changes."""

    def __init__(self, certificate: Path, key: Path, *, base: Path | None = None) -> None:
        """Read both for the first time.

        With ``base``, they are taken only where nobody but this user and root may change what is below it. Raises
        ``ConfigError``, which names them, where they cannot be read or must not be taken.
        """
        self.name = f"{certificate} and {key}"
        self._files = (certificate, key)
        self._base = base
        self._contexts = FileContext(self._load, self._files)

    def current(self) -> ssl.SSLContext:
        """Return the pair of now, or the last one that could be used."""
        return self._contexts.current()

    def _load(self) -> ssl.SSLContext:
        if self._base is not None:
            _check_trusted(self._files, self._base)
        context = _server_context()
        try:
            # A key with a passphrase is an error, not a question on the terminal.
            context.load_cert_chain(*self._files, password=lambda: "")
        except OSError as error:
            expected = "expected a PEM certificate and its key"
            raise ConfigError(f"--metrics-cert-path: {self.name}: {expected}: {_cause(error)}") from error
        return context


class SelfSigned:
    """A self-signed certificate: it encrypts, but clients cannot verify it."""

    def __init__(self, clock: Clock) -> None:
        """Make the first one.

        Raises ``ConfigError`` where there is no directory for a temporary file.
        """
        self.name = "self-signed"
        self._clock = clock
        try:
            self._make()
        except OSError as error:
            raise ConfigError(f"--metrics-secure: no certificate can be made: {_cause(error)}") from error

    def current(self) -> ssl.SSLContext:
        """Return the certificate of now."""
        if self._clock.now() >= self._end - _VALIDITY_MARGIN:
            try:
                self._make()
            except OSError as error:
                _log.warning("self-signed certificate not renewed, keeping the previous one", error=_cause(error))
        return self._context

    def _make(self) -> None:
        now = self._clock.now()
        certificate, key = _self_signed(now)
        context = _server_context()
        use_certificate(context, certificate, key)
        self._context = context
        self._end = now + SELF_SIGNED_VALIDITY


def open_certificate(wanted: SecureServing, clock: Clock) -> ServingCertificate:
    """Return the certificate of the given files, or of upstream's default ones.

    The default ones are in a place that anybody on this machine can make first, so they are taken only where nobody
    else may change them. Raises ``ConfigError`` where the given files are missing, or files cannot be used.
    """
    directory = wanted.directory or DEFAULT_CERT_DIR
    certificate, key = directory / wanted.certificate_name, directory / wanted.key_name
    if wanted.directory:
        return CertWatcher(certificate, key)
    if not (certificate.exists() and key.exists()):
        return SelfSigned(clock)
    base = directory.parent.parent
    try:
        _check_trusted((certificate, key), base)
    except ConfigError as error:
        _log.warning("certificate of the default directory not used: others may change it", error=str(error))
        return SelfSigned(clock)
    return CertWatcher(certificate, key, base=base)


def serving_context(certificate: ServingCertificate) -> ssl.SSLContext:
    """Return the context to listen with: TLS 1.2 or newer, HTTP/1.1.

    Each handshake gets the certificate that is current then.
    """

    def choose(connection: ssl.SSLSocket | ssl.SSLObject, _name: str | None, _listening: ssl.SSLContext) -> None:
        connection.context = certificate.current()

    context = _server_context()
    context.sni_callback = choose
    return context


def _check_trusted(files: Sequence[Path], base: Path) -> None:
    """Raise ``ConfigError`` where others may change one of the files."""
    for file in files:
        try:
            step = untrusted_step(file, base, trusted_users())
        except OSError as error:
            raise ConfigError(f"{file}: {_cause(error)}") from error
        if step is not None:
            raise ConfigError(f"{step}, expected it to be this user's or root's alone")


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _MIN_TLS_VERSION
    context.set_alpn_protocols(_PROTOCOLS)
    return context


def _self_signed(now: dt.datetime) -> tuple[str, str]:
    """Return certificate and key in PEM, for this machine's names and loopback."""
    key = ec.generate_private_key(ec.SECP256R1())
    host = socket.gethostname()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    names = [x509.DNSName(text) for text in dict.fromkeys(("localhost", host)) if text.isascii()]
    addresses = [x509.IPAddress(ipaddress.ip_address(text)) for text in ("127.0.0.1", "::1")]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _VALIDITY_MARGIN)
        .not_valid_after(now + SELF_SIGNED_VALIDITY)
        .add_extension(x509.SubjectAlternativeName([*names, *addresses]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(Encoding.PEM).decode(),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    )


def _cause(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "not PEM"
    return error.strerror or str(error)
