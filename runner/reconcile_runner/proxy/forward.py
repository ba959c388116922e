"""Sends a run's requests to the API server.

The operator's credentials replace the run's token.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import ClientError, ClientResponse, hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy

from reconcile_runner.apimachinery import rawjson
from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.client import HttpClient
from reconcile_runner.errors import ApiUnreachableError
from reconcile_runner.proxy.authority import AUTHORITY, without_impersonation
from reconcile_runner.proxy.requestinfo import is_long_running

NOT_PASSED_ON: Final = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to one connection (RFC 9110, 7.6.1), and the run's credential."""


REPEATABLE_BYTES: Final = 2**16
"""Bytes of a body that is read before it is sent on, so that it can be sent again with newer credentials."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete answer of the API server. ``headers`` are as it sent them."""

    status: int
    reason: str
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def succeeded(self) -> bool:
        """Tell whether the status is one of success."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    async def decoded(self) -> KubeObject | None:
        """Return the object in the body of a successful answer.

        None where there is none, or not as plain JSON.
        """
        if not self.succeeded or "Content-Encoding" in self.headers:
            return None
        try:
            decoded = await rawjson.loads_aside(self.body)
        except ValueError:
            return None
        return decoded if isinstance(decoded, dict) else None

    def response(self) -> web.Response:
        """Return the answer for the run."""
        return web.Response(status=self.status, reason=self.reason, headers=kept_headers(self.headers), body=self.body)


class Forwarder:
    """Sends requests to the API server and answers back."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send a request on, and its answer back, both as they arrive."""
        upstream = await self._forward(request, request_headers(request), None)
        try:
            return await _stream(request, upstream)
        finally:
            upstream.close()

    async def fetch(
        self, request: web.Request, body: bytes | None = None, changed: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a request on and return the complete answer, uncompressed.

        ``body`` takes the place of the request's, which is else sent on as it arrives; ``changed`` headers win over the
        request's.
        """
        headers = request_headers(request)
        headers.popall("Accept-Encoding", None)
        headers.update(changed or {})
        upstream = await self._forward(request, headers, body)
        try:
            content = await upstream.read()
        except (ClientError, TimeoutError) as error:
            raise ApiUnreachableError(f"{self._client.server} broke off its answer") from error
        finally:
            upstream.close()
        return Answer(upstream.status, upstream.reason or "", upstream.headers, content)

    async def _forward(self, request: web.Request, headers: CIMultiDict[str], body: bytes | None) -> ClientResponse:
        content: AsyncIterable[bytes] | bytes | None = body or None
        length = request.content_length
        if body is None and request.can_read_body:
            content = request.content.iter_any()
            if length is not None and length <= REPEATABLE_BYTES:
                content = await request.read()
            elif length is not None:
                headers[hdrs.CONTENT_LENGTH] = str(length)
        is_stream = is_long_running(request.raw_path)
        return await self._client.forward(request.method, request.raw_path, headers, content, is_stream=is_stream)


def request_headers(request: web.Request) -> CIMultiDict[str]:
    """Return a run's headers without its token and without those of the connection.

    Whom it impersonates is as its authority says.
    """
    headers = without_impersonation(kept_headers(request.headers))
    headers.extend(request[AUTHORITY].impersonation)
    return headers


def kept_headers(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return headers without those of one connection."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in NOT_PASSED_ON)


async def _stream(request: web.Request, upstream: ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(
        status=upstream.status, reason=upstream.reason, headers=kept_headers(upstream.headers)
    )
    if upstream.content_length is not None:
        response.content_length = upstream.content_length
    await response.prepare(request)
    async for chunk in upstream.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response
