"""Certificates of servers for tests, in files as cert-manager writes them."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


def write_certificate(directory: Path, host: str = "localhost") -> ssl.SSLContext:
    """Write new ``ca.crt``, ``tls.crt`` and ``tls.key`` for a host; return a context that trusts nothing else."""
    authority = trustme.CA()
    certificate = authority.issue_cert(host)
    directory.mkdir(parents=True, exist_ok=True)
    authority.cert_pem.write_to_path(directory / "ca.crt")
    certificate.cert_chain_pems[0].write_to_path(directory / "tls.crt")
    certificate.private_key_pem.write_to_path(directory / "tls.key")
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return client
