"""TLS of connections to the API server, client certificates included.

``ClientTls`` gives the context of each request: a cluster's new authority and a new client certificate count without a
restart.
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from reconcile_runner.errors import ConfigError
from reconcile_runner.logs import get_logger

_log = get_logger(__name__)

FileStamp: TypeAlias = tuple[int, int] | None
"""What changes when a file does; None for one that is not there."""


def file_stamp(path: Path) -> FileStamp:
    """Return modification time and inode.

    The kubelet swaps a symbolic link on the path, which changes the inode.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def make_context(ca_file: Path | None, ca_pem: str, *, verify: bool) -> ssl.SSLContext:
    """Return a context that trusts the given authority.

    With none given, the machine's.

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
    """Present a client certificate from now on.

    On a context in use, it counts for new connections.

    Raises ``OSError`` or ``ssl.SSLError`` where the two are unreadable or do not fit together.
    """
    # OpenSSL reads files only. The directory is 0700 and removed at once.
    with tempfile.TemporaryDirectory(prefix="runner-tls-") as directory:
        certificate, key = Path(directory, "certificate.pem"), Path(directory, "key.pem")
        certificate.write_text(certificate_pem, encoding="utf-8")
        key.write_text(key_pem, encoding="utf-8")
        context.load_cert_chain(certificate, key)


class FileContext:
    """A context that is made again when one of the files that it is made of changes.

    Files that cannot be used at the moment (a renewal in progress, say) leave the last one in use. ``make`` raises
    ``ConfigError`` for them.
    """

    def __init__(self, make: Callable[[], ssl.SSLContext], files: Sequence[Path]) -> None:
        """Make the first one; raises what ``make`` raises."""
        self._make = make
        self._files = tuple(files)
        self._seen = self._stamps()
        self._complained_of: tuple[FileStamp, ...] = ()
        self._context = make()

    def current(self) -> ssl.SSLContext:
        """Return the context for the next connection.

        Called in the event loop; does not raise.
        """
        found = self._stamps()
        if found != self._seen:
            self._follow(found)
        return self._context

    def _follow(self, found: tuple[FileStamp, ...]) -> None:
        try:
            self._context = self._make()
        except ConfigError as error:
            if found != self._complained_of:
                self._complained_of = found
                _log.warning("new certificates cannot be used, keeping the previous ones", error=str(error))
            return
        self._seen = found
        _log.info("certificates reloaded", files=[str(file) for file in self._files])

    def _stamps(self) -> tuple[FileStamp, ...]:
        return tuple(file_stamp(file) for file in self._files)


class ClientTls:
    """TLS settings from files, which are followed, and an exec plugin's certificate."""

    def __init__(self, make: Callable[[], ssl.SSLContext], files: Sequence[Path] = ()) -> None:
        """Make the first context; raises ``ConfigError`` as ``make`` does."""
        self._make = make
        self._presented: tuple[str, str] | None = None
        self._contexts = FileContext(self._make_presenting, files)

    def context(self) -> ssl.SSLContext:
        """Return the context for the next request."""
        return self._contexts.current()

    def present(self, certificate_pem: str, key_pem: str) -> None:
        """Present a client certificate from now on. Raises as ``use_certificate``."""
        use_certificate(self._contexts.current(), certificate_pem, key_pem)
        self._presented = (certificate_pem, key_pem)

    def _make_presenting(self) -> ssl.SSLContext:
        context = self._make()
        if self._presented is not None:
            try:
                use_certificate(context, *self._presented)
            except OSError as error:
                raise ConfigError(f"the client certificate of the exec plugin cannot be used: {error}") from error
        return context
