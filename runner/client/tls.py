"""How connections to the API server are encrypted and, with a client certificate, who they come from."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path


def make_context(ca_file: Path | None, ca_pem: str, *, verify: bool) -> ssl.SSLContext:
    """Return a context that trusts the given authority; with none given, the machine's.

    Raises ``OSError`` or ``ssl.SSLError`` where the authority cannot be read. ``verify=False`` accepts any server.
    """
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None, cadata=ca_pem or None)
    # Python 3.13 turns this on, and then rejects the many cluster authorities that lack a key usage extension, which
    # kubectl accepts.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def use_certificate(context: ssl.SSLContext, certificate_pem: str, key_pem: str) -> None:
    """Present a client certificate from now on; on a context in use, it counts for new connections.

    Raises ``OSError`` or ``ssl.SSLError`` where the two are unreadable or do not fit together.
    """
    # OpenSSL reads files only. The directory is 0700 and gone before anybody else gets to look.
    with tempfile.TemporaryDirectory(prefix="runner-tls-") as directory:
        certificate, key = Path(directory, "certificate.pem"), Path(directory, "key.pem")
        certificate.write_text(certificate_pem, encoding="utf-8")
        key.write_text(key_pem, encoding="utf-8")
        context.load_cert_chain(certificate, key)
