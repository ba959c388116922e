"""Who may read the metrics: TokenReview and SubjectAccessReview.

Its answers are remembered for as long as controller-runtime's ``filters.WithAuthenticationAndAuthorization`` does, so
that most scrapes cost it nothing. The operator itself needs the right to create ``tokenreviews`` and
``subjectaccessreviews``.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Generic, Protocol, TypeVar

import orjson
from cachetools import TLRUCache

from reconcile_runner.apimachinery.objects import KubeObject
from reconcile_runner.client import ApiClient, OutageLog
from reconcile_runner.clock import Clock
from reconcile_runner.errors import ApiError, ApiUnreachableError
from reconcile_runner.logs import get_logger

AUTHENTICATED_TTL: Final = 60.0
"""Seconds for which the answer to a token is remembered."""
ALLOWED_TTL: Final = 300.0
"""Seconds for which a right is remembered."""
DENIED_TTL: Final = 30.0
"""Seconds for which it is remembered that there is no right."""
REVIEW_TIMEOUT: Final = 10.0
"""Seconds that both reviews may take together: as long as Prometheus waits for a scrape."""
MAX_REMEMBERED_ANSWERS: Final = 1000
"""How many answers of each kind are remembered; a further one replaces the one that was used least recently."""

_BEARER = re.compile(r"bearer +(?P<token>[!-~]+)", re.IGNORECASE | re.ASCII)

_log = get_logger(__name__)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class _Review:
    """A kind that is only ever created: the answer to its spec is its status."""

    api_version: str
    kind: str


_TOKEN_REVIEW: Final = _Review("authentication.k8s.io/v1", "TokenReview")
_ACCESS_REVIEW: Final = _Review("authorization.k8s.io/v1", "SubjectAccessReview")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered.

    ``text`` is for its sender and tells nothing that is not theirs.
    """

    status: HTTPStatus
    text: str


class Filter(Protocol):
    """What stands before a handler."""

    async def refusal(self, authorization: str, verb: str, path: str) -> Refusal | None:
        """Return None where the request may pass.

        ``authorization`` is its header (may be empty), ``verb`` its method in lower case.
        """


@dataclass(frozen=True, slots=True)
class _User:
    """A user of the cluster, as the fields of a SubjectAccessReview's spec."""

    name: str
    fields: KubeObject


class AuthenticationAndAuthorization:
    """Lets requests pass that have a token with the right to the path.

    The right is one to ``nonResourceURLs``.

    No valid token: 401. No right: 403. The API server does not answer: 503; it answers with an
    error, such as that the operator itself lacks the right to ask: 500. Both are logged, once a minute.
    """

    def __init__(self, client: ApiClient, clock: Clock, *, timeout: float = REVIEW_TIMEOUT) -> None:
        self._client = client
        self._timeout = timeout
        self._users: _ReviewCache[_User | None] = _ReviewCache(clock)
        self._rights: _ReviewCache[bool] = _ReviewCache(clock)
        self._outage = OutageLog(clock)

    async def refusal(self, authorization: str, verb: str, path: str) -> Refusal | None:
        """Ask for both reviews, or remember them."""
        found = _BEARER.fullmatch(authorization.strip())
        if found is None:
            return Refusal(HTTPStatus.UNAUTHORIZED, "Unauthorized")
        try:
            async with asyncio.timeout(self._timeout):
                return await self._review(found["token"], verb, path)
        except (ApiUnreachableError, TimeoutError) as error:
            self._complain(str(error) or f"no answer in {self._timeout:g} s")
            return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "The API server could not be asked")
        except ApiError as error:
            self._complain(str(error))
            return Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "The API server could not be asked")

    async def _review(self, token: str, verb: str, path: str) -> Refusal | None:
        user = await self._authenticate(token)
        if user is None:
            return Refusal(HTTPStatus.UNAUTHORIZED, "Unauthorized")
        if not await self._authorize(user, verb, path):
            return Refusal(HTTPStatus.FORBIDDEN, f"Authorization denied for user {user.name}")
        return None

    async def _authenticate(self, token: str) -> _User | None:
        async def ask() -> _Answer[_User | None]:
            status = await self._ask(_TOKEN_REVIEW, {"token": token})
            return _Answer(_user_of(status), AUTHENTICATED_TTL)

        return await self._users.answer(token.encode(), ask)

    async def _authorize(self, user: _User, verb: str, path: str) -> bool:
        spec = {**user.fields, "nonResourceAttributes": {"path": path, "verb": verb}}

        async def ask() -> _Answer[bool]:
            status = await self._ask(_ACCESS_REVIEW, spec)
            allowed = status.get("allowed") is True and not status.get("denied")
            return _Answer(allowed, ALLOWED_TTL if allowed else DENIED_TTL)

        return await self._rights.answer(orjson.dumps(spec, option=orjson.OPT_SORT_KEYS), ask)

    async def _ask(self, review: _Review, spec: KubeObject) -> KubeObject:
        body = {"apiVersion": review.api_version, "kind": review.kind, "spec": spec}
        answer = await self._client.create(f"/apis/{review.api_version}/{review.kind.lower()}s", body)
        lasted = self._outage.end()
        if lasted is not None:
            _log.info("access to metrics can be checked again", seconds=lasted)
        status: KubeObject = answer.get("status") or {}
        return status

    def _complain(self, cause: str) -> None:
        if self._outage.should_log(cause):
            _log.error("cannot check access to metrics", error=cause)


def _user_of(status: KubeObject) -> _User | None:
    """Return the user of a TokenReview; None where the token is not accepted."""
    user = status.get("user") or {}
    if status.get("authenticated") is not True or not user.get("username"):
        return None
    fields = {"user": user["username"], **{name: user[name] for name in ("uid", "groups", "extra") if user.get(name)}}
    return _User(user["username"], fields)


@dataclass(frozen=True, slots=True)
class _Answer(Generic[_Value]):
    """What is remembered, and for how many seconds."""

    value: _Value
    seconds: float


class _ReviewCache(Generic[_Value]):
    """Answers to questions, each until its time is over.

    Their keys are digests: tokens themselves are not kept.

    One question is asked at a time: no client can make the operator flood the API server, and of many requests at once
    with one token only the first asks. What is known is answered without waiting for others' questions.
    """

    def __init__(self, clock: Clock) -> None:
        self._known: TLRUCache[bytes, _Answer[_Value]] = TLRUCache(
            MAX_REMEMBERED_ANSWERS, ttu=lambda _, answer, now: now + answer.seconds, timer=clock.monotonic
        )
        self._asking = asyncio.Lock()

    async def answer(self, question: bytes, ask: Callable[[], Awaitable[_Answer[_Value]]]) -> _Value:
        """Return what is known, else ask.

        What ``ask`` raises is raised, and not remembered.
        """
        digest = hashlib.sha256(question).digest()
        known = self._known.get(digest)
        if known is None:
            async with self._asking:
                known = self._known.get(digest)
                if known is None:
                    known = self._known[digest] = await ask()
        return known.value
