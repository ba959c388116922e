"""The flags of the metrics endpoint: its address, TLS, and who may read it.

``run`` reads them into ``BindAddress`` and ``SecureServing``. Names and defaults are those of ``ansible-operator run``;
the files of a certificate, for which it has no flags, are named as by kubebuilder's operators.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from reconcile_runner import logs
from reconcile_runner.cli.values import bind_address, boolean, flag
from reconcile_runner.errors import ConfigError
from reconcile_runner.options import DEFAULT_CERT_DIR, BindAddress, SecureServing

DEFAULT_ADDRESS: Final = ":8443"

MetricsBindAddress: TypeAlias = Annotated[
    str | None,
    flag(
        "--metrics-bind-address",
        "[HOST]:PORT",
        "Address of /metrics, plain HTTP without --metrics-secure; 0: none; port 0: any free one.",
        default=None,
        shown=DEFAULT_ADDRESS,
    ),
]
MetricsAddr: TypeAlias = Annotated[
    str | None, flag("--metrics-addr", "[HOST]:PORT", "Deprecated: use --metrics-bind-address.", default=None)
]
MetricsSecure: TypeAlias = Annotated[
    str, flag("--metrics-secure", "BOOLEAN", "Serve metrics over TLS (1.2 or newer) only.", default="false")
]
MetricsRequireRbac: TypeAlias = Annotated[
    str,
    flag(
        "--metrics-require-rbac",
        "BOOLEAN",
        "Serve metrics only to clients with a token and the right to get /metrics; needs --metrics-secure.",
        default="false",
    ),
]
MetricsCertPath: TypeAlias = Annotated[
    Path | None,
    flag(
        "--metrics-cert-path",
        "DIRECTORY",
        "Directory of the metrics endpoint's certificate and key; they are read again when they change.",
        read=Path,
        default=None,
        shown=f"{DEFAULT_CERT_DIR} where it has both, else a self-signed certificate",
    ),
]
MetricsCertName: TypeAlias = Annotated[
    str, flag("--metrics-cert-name", "FILE", "File of the certificate in that directory.", default="tls.crt")
]
MetricsCertKey: TypeAlias = Annotated[
    str, flag("--metrics-cert-key", "FILE", "File of the key in that directory.", default="tls.key")
]

BOOLEANS: Final = frozenset({"--metrics-secure", "--metrics-require-rbac"})
"""Those that mean ``true`` where no value follows with ``=``."""

_log = logs.get_logger(__name__)


def metrics_bind_address(text: str | None, deprecated: str | None) -> BindAddress | None:
    """Read the address of the metrics from the flag or its deprecated name.

    Raises ``ConfigError`` for both.
    """
    if text is not None and deprecated is not None:
        raise ConfigError("--metrics-bind-address and --metrics-addr are both set, expected the first alone")
    if deprecated is not None:
        _log.warning("deprecated flag", flag="--metrics-addr", use="--metrics-bind-address")
    name, given = ("--metrics-bind-address", text) if deprecated is None else ("--metrics-addr", deprecated)
    try:
        return bind_address(DEFAULT_ADDRESS if given is None else given)
    except typer.BadParameter as error:
        raise typer.BadParameter(error.message, param_hint=name) from error


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """What the flags say of the certificate."""

    directory: Path | None
    certificate_name: str
    key_name: str


def secure_serving(secure: str, require_rbac: str, files: CertificateFiles) -> SecureServing | None:
    """Return how metrics are served over TLS, None for plain HTTP.

    Raises ``ConfigError`` where something is asked for that makes sense over TLS alone: who asks for it must not be
    served without.
    """
    is_secure = boolean("--metrics-secure", secure)
    requires_rbac = boolean("--metrics-require-rbac", require_rbac)
    if is_secure:
        return SecureServing(files.directory, files.certificate_name, files.key_name, requires_rbac)
    if requires_rbac:
        raise ConfigError("--metrics-require-rbac: found true without --metrics-secure, expected both or none")
    if files.directory is not None:
        raise ConfigError("--metrics-cert-path: found a directory without --metrics-secure, expected both or none")
    return None
