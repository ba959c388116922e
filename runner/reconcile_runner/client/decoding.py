"""From the bytes of an answer to objects and exceptions. No I/O here."""

from __future__ import annotations

import email.utils
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from reconcile_runner.apimachinery import rawjson
from reconcile_runner.apimachinery.objects import KubeObject, metadata
from reconcile_runner.client.api import WatchEvent, WatchEventType
from reconcile_runner.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    GoneError,
    NotFoundError,
    UnauthorizedError,
    UnreadableAnswerError,
)

_ERROR_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    HTTPStatus.UNAUTHORIZED: UnauthorizedError,
    HTTPStatus.FORBIDDEN: ForbiddenError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.CONFLICT: ConflictError,
    HTTPStatus.GONE: GoneError,
}
_MAX_EXCERPT_CHARACTERS: Final = 200
"""How many characters of an unreadable answer a message quotes."""


async def decode_object(body: bytes, server: str) -> KubeObject:
    """Return the object or list in a body; what cannot be decoded of it is ``RawJson``.

    Raises ``UnreadableAnswerError`` where something else than Kubernetes answered.
    """
    try:
        decoded: KubeObject = await rawjson.loads_aside(body)
    except ValueError as error:
        raise UnreadableAnswerError(f"{server} did not answer as an API server: {_excerpt(body)}") from error
    if not _has_metadata(decoded) or not all(_has_metadata(item) for item in _items(decoded)):
        raise UnreadableAnswerError(f"{server} did not answer as an API server: {_excerpt(body)}")
    return decoded


async def decode_event(line: bytes, server: str) -> WatchEvent:
    """Return the event in a line of a watch; raises what an ERROR event stands for.

    What cannot be decoded of the object is ``RawJson``.

    A line that is no event is raised as ``UnreadableAnswerError``: the stream was cut in the middle of it, or something
    between here and the API server wrote it. Either way the watch goes on from the last resourceVersion.
    """
    try:
        decoded = await rawjson.loads_aside(line)
        event_type, obj = decoded["type"], decoded["object"]
        if event_type == "ERROR":
            raise error_of_status(obj if isinstance(obj, dict) else {})
        if not _has_metadata(obj):
            raise _unreadable(line, server)
        return WatchEvent(WatchEventType(event_type), obj)
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(line, server) from error


def _has_metadata(obj: object) -> bool:
    """Tell whether this is an object whose metadata, if it has any, was decoded."""
    return isinstance(obj, dict) and isinstance(metadata(obj), dict)


def _items(decoded: KubeObject) -> list[Any]:
    items = decoded.get("items")
    return items if isinstance(items, list) and str(decoded.get("kind", "")).endswith("List") else []


def _unreadable(line: bytes, server: str) -> UnreadableAnswerError:
    return UnreadableAnswerError(f"{server} sent a line that is no watch event: {_excerpt(line)}")


def error_of_answer(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Return the exception for an answer with an error status; any body will do."""
    try:
        decoded = rawjson.loads(body)
    except ValueError:
        decoded = None
    fields = decoded if isinstance(decoded, dict) and decoded.get("kind") == "Status" else {}
    if not fields.get("message"):
        fields = {**fields, "message": f"HTTP {status}: {_excerpt(body) or 'an empty answer'}"}
    return error_of_status({**fields, "code": status}, _retry_after(headers))


def error_of_status(status: Mapping[str, Any], retry_after: float | None = None) -> ApiError:
    """Return the exception for a ``Status`` object, any field of which may be missing."""
    code = status.get("code") or HTTPStatus.INTERNAL_SERVER_ERROR
    details = status.get("details") or {}
    if retry_after is None and details.get("retryAfterSeconds"):
        retry_after = float(details["retryAfterSeconds"])
    error_class = _ERROR_BY_STATUS.get(code, ApiError)
    if code == HTTPStatus.GATEWAY_TIMEOUT and _is_too_large_resource_version(status, details):
        error_class = GoneError
    return error_class(int(code), status.get("reason") or "", status.get("message") or "", retry_after)


def _is_too_large_resource_version(status: Mapping[str, Any], details: Mapping[str, Any]) -> bool:
    """Tell whether this is apimachinery's ``NewTooLargeResourceVersionError``.

    It has no reason of its own.
    """
    causes = details.get("causes") or []
    return any(cause.get("reason") == "ResourceVersionTooLarge" for cause in causes) or (
        "Too large resource version" in (status.get("message") or "")
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of ``Retry-After``, a number or a date (RFC 9110, 10.2.3)."""
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _excerpt(body: bytes) -> str:
    text = " ".join(body[: 4 * _MAX_EXCERPT_CHARACTERS].decode("utf-8", "replace").split())
    return text if len(text) <= _MAX_EXCERPT_CHARACTERS else text[:_MAX_EXCERPT_CHARACTERS] + "…"
