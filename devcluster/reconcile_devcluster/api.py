"""One request at a time to an API server, by the standard library alone: readiness, CRDs, ServiceAccounts of tests.

Not a client for the operator; that is `reconcile_runner.client`.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import yaml

from reconcile_devcluster.errors import ApiRequestError, DevclusterError

if TYPE_CHECKING:
    from pathlib import Path

KubeObject = dict[str, Any]

JSON = "application/json"
APPLY_PATCH = "application/apply-patch+yaml"
"""Content type of server-side apply; JSON is YAML too."""

REQUEST_TIMEOUT = 30.0
"""Seconds one request may take."""


class Api(Protocol):
    """An API server that can be asked for one object at a time."""

    def call(self, method: str, path: str, body: KubeObject | None = None, content_type: str = JSON) -> KubeObject:
        """Send one request that must succeed; see `ApiServer.call`."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """How to reach an API server.

    Attributes:
        host: Name or address.
        port: TCP port.
        tls: Context that trusts its CA, with the client certificate if there is one.
        token: Bearer token, or None.

    """

    host: str
    port: int
    tls: ssl.SSLContext
    token: str | None

    @classmethod
    def from_kubeconfig(cls, path: Path) -> ApiServer:
        """Read a kubeconfig written by `credentials`: everything inline, one context.

        Raises:
            DevclusterError: The file is not there or lacks the fields.

        """
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
            cluster = config["clusters"][0]["cluster"]
            user = config["users"][0]["user"]
            address = urlsplit(cluster["server"])
            ca_certificate = base64.b64decode(cluster["certificate-authority-data"]).decode("ascii")
        except (OSError, KeyError, IndexError, TypeError, ValueError, yaml.YAMLError) as error:
            raise DevclusterError(f"{path}: not a kubeconfig of a devcluster ({error!r})") from error
        tls = ssl.create_default_context(cadata=ca_certificate)
        if "client-certificate-data" in user:
            _load_client_certificate(tls, user)
        return cls(host=address.hostname or "", port=address.port or 443, tls=tls, token=user.get("token"))

    def request(
        self,
        method: str,
        path: str,
        body: KubeObject | None = None,
        content_type: str = JSON,
        timeout: float = REQUEST_TIMEOUT,
    ) -> tuple[int, bytes]:
        """Send one request.

        Returns:
            Status code and body of the answer, whatever the status.

        Raises:
            OSError: The server could not be reached (also `http.client.HTTPException` for a broken answer).

        """
        headers = {"Accept": JSON, "Content-Type": content_type}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.tls)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def call(self, method: str, path: str, body: KubeObject | None = None, content_type: str = JSON) -> KubeObject:
        """Send one request that must succeed.

        Returns:
            The object in the answer.

        Raises:
            ApiRequestError: The answer was an error status.
            DevclusterError: There was no answer.

        """
        try:
            status, answer = self.request(method, path, body, content_type)
        except (OSError, http.client.HTTPException) as error:
            raise DevclusterError(
                f"{method} {path}: no answer from https://{self.host}:{self.port}: {error}"
            ) from error
        if status >= http.HTTPStatus.BAD_REQUEST:
            text = answer.decode("utf-8", errors="replace")
            raise ApiRequestError(f"{method} {path}: status {status}: {_message(text)}", status)
        return self.decode(answer)

    @staticmethod
    def decode(answer: bytes) -> KubeObject:
        """Object in an answer's body."""
        decoded: KubeObject = json.loads(answer)
        return decoded

    def is_ready(self, timeout: float = 2.0) -> bool:
        """Whether `/readyz` answers exactly `ok`; while it is not ready, its list of checks ends in `ok` too."""
        try:
            status, answer = self.request("GET", "/readyz", timeout=timeout)
        except (OSError, http.client.HTTPException):
            return False
        return status == http.HTTPStatus.OK and answer.strip() == b"ok"


def _load_client_certificate(tls: ssl.SSLContext, user: dict[str, str]) -> None:
    # OpenSSL's Python binding takes client certificates from files only.
    with tempfile.NamedTemporaryFile() as file:
        for field in ("client-certificate-data", "client-key-data"):
            file.write(base64.b64decode(user[field]))
        file.flush()
        tls.load_cert_chain(file.name)


def _message(answer: str) -> str:
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return answer[:200]
