"""Credentials of requests: the Authorization header, kept up to date.

Source: lightkube's authentication (read again on 401) and client-go's transport (token files are read at least once a
minute; exec plugins run again when their credentials expire).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

from reconcile_runner.client.tls import ClientTls, FileStamp, file_stamp
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ConfigError
from reconcile_runner.logs import get_logger

_log = get_logger(__name__)

TOKEN_FILE_PERIOD: Final = 60.0
"""Seconds after which a token file is read again even if its modification time says that nothing changed."""
EXPIRY_MARGIN: Final = timedelta(seconds=30)
"""How long before its expiry an exec plugin's token is renewed."""
PLUGIN_TIMEOUT: Final = 60.0
"""Seconds that an exec plugin may take."""
PLUGIN_RETRY_PERIOD: Final = 10.0
"""Seconds between two renewals by a plugin at least: a server that refuses everything must not start one a request."""


class Credentials(Protocol):
    """Where the Authorization header comes from."""

    async def authorization(self) -> str:
        """Return the header's value, or an empty string where requests carry none."""

    async def renew(self, refused: str) -> bool:
        """Read again after a 401 for ``refused`` (a header's value).

        Tell whether there is now another one.
        """


@dataclass(frozen=True, slots=True)
class StaticCredentials:
    """A header that never changes: a token or a password from the kubeconfig.

    Empty for a client certificate.
    """

    header: str = field(default="", repr=False)

    async def authorization(self) -> str:
        """Return the header's value."""
        return self.header

    async def renew(self, refused: str) -> bool:
        """Tell that there is no other."""
        del refused
        return False


class TokenFile:
    """A bearer token in a file that is rotated.

    The ServiceAccount's, or a kubeconfig's ``tokenFile``.

    A file that is missing or empty at the moment it is read (a rotation in progress) keeps the last good token.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        """Read the file for the first time.

        Raises ``ConfigError`` where it holds no token.
        """
        self._path = path
        self._clock = clock
        self._token = ""
        self._seen: FileStamp = None
        self._read_at = 0.0
        self._read()
        if not self._token:
            raise ConfigError(f"token file {path}: expected a token, found no readable file or an empty one")

    async def authorization(self) -> str:
        """Return the token, read again if the file changed or a minute has passed."""
        if file_stamp(self._path) != self._seen or self._clock.monotonic() - self._read_at >= TOKEN_FILE_PERIOD:
            self._read()
        return f"Bearer {self._token}"

    async def renew(self, refused: str) -> bool:
        """Read the file again now."""
        self._read()
        return f"Bearer {self._token}" != refused

    def _read(self) -> None:
        self._read_at = self._clock.monotonic()
        self._seen = file_stamp(self._path)
        try:
            token = self._path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return
        if token:
            self._token = token


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """How to run an exec credential plugin (``users[].user.exec``).

    ``origin`` names the kubeconfig for messages.
    """

    command: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    api_version: str
    install_hint: str
    origin: str

    async def run(self) -> Mapping[str, Any]:
        """Return the ``status`` of the ExecCredential that it prints.

        Raises ``ConfigError`` saying what went wrong.
        """
        info = {"apiVersion": self.api_version, "kind": "ExecCredential", "spec": {"interactive": False}}
        environment = {**os.environ, **self.env, "KUBERNETES_EXEC_INFO": orjson.dumps(info).decode()}
        try:
            process = await asyncio.create_subprocess_exec(
                self.command,
                *self.args,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            hint = f". {self.install_hint}" if self.install_hint else ""
            raise ConfigError(f"{self.name} cannot be started: {error.strerror}{hint}") from error
        output, errors = await self._output_of(process)
        if process.returncode != 0:
            complaint = " ".join(errors.decode("utf-8", "replace").split())
            raise ConfigError(f"{self.name} failed with exit code {process.returncode}: {complaint}")
        return self._status_in(output)

    @property
    def name(self) -> str:
        """Return what messages call it."""
        return f"{self.origin}: exec plugin {self.command!r}"

    async def _output_of(self, process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
        try:
            async with asyncio.timeout(PLUGIN_TIMEOUT):
                return await process.communicate()
        except TimeoutError as error:
            raise ConfigError(f"{self.name} took longer than {PLUGIN_TIMEOUT:.0f} s") from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    def _status_in(self, output: bytes) -> Mapping[str, Any]:
        try:
            credential = orjson.loads(output)
            api_version, status = credential["apiVersion"], credential["status"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise ConfigError(f"{self.name} printed something else than an ExecCredential with a status") from error
        if api_version != self.api_version:
            raise ConfigError(f"{self.name} answered with {api_version}, expected {self.api_version}")
        if not isinstance(status, dict) or not (status.get("token") or status.get("clientCertificateData")):
            raise ConfigError(f"{self.name} gave neither a token nor a client certificate")
        return status


class ExecCredentials:
    """A token or client certificate that a plugin prints.

    It is renewed before it expires and when the API server refuses it.

    ``status`` is what its first run gave. A later run that fails is logged and keeps the last token: the API server
    decides whether that one still serves.
    """

    def __init__(self, plugin: ExecPlugin, status: Mapping[str, Any], clock: Clock, tls: ClientTls | None) -> None:
        self._plugin = plugin
        self._clock = clock
        self._tls = tls
        self._lock = asyncio.Lock()
        self._token = ""
        self._expiry: datetime | None = None
        self._renewed_at = -PLUGIN_RETRY_PERIOD
        self._take(status)

    async def authorization(self) -> str:
        """Return the token; run the plugin first if it is about to expire."""
        if self._is_expiring():
            async with self._lock:
                if self._is_expiring() and self._is_rested():
                    await self._run()
        return self._header

    async def renew(self, refused: str) -> bool:
        """Run the plugin again, unless that was just done."""
        async with self._lock:
            if self._header == refused and self._is_rested():
                await self._run()
        return self._header != refused

    @property
    def _header(self) -> str:
        return f"Bearer {self._token}" if self._token else ""

    def _is_expiring(self) -> bool:
        return self._expiry is not None and self._clock.now() >= self._expiry - EXPIRY_MARGIN

    def _is_rested(self) -> bool:
        return self._clock.monotonic() - self._renewed_at >= PLUGIN_RETRY_PERIOD

    async def _run(self) -> None:
        self._renewed_at = self._clock.monotonic()
        try:
            self._take(await self._plugin.run())
        except ConfigError as error:
            _log.warning("credential plugin failed, using the previous credentials", error=str(error))

    def _take(self, status: Mapping[str, Any]) -> None:
        certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
        if certificate and key and self._tls is not None:
            try:
                self._tls.present(certificate, key)
            except OSError as error:
                raise ConfigError(
                    f"{self._plugin.name} gave a client certificate that cannot be used: {error}"
                ) from error
        self._token = status.get("token") or ""
        self._expiry = _moment(status.get("expirationTimestamp"))


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str) or not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
