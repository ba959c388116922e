"""With whose rights a request of a run is served: the one place that says so.

A request shows the run's token and may name somebody to impersonate, as any request to the API server may. Then the
API server judges it, whichever way it takes through the proxy. What the API server would overlook is refused: a role
that means to limit itself must never act with all of the operator's rights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy

from reconcile_runner.errors import ApiError
from reconcile_runner.proxy.tokens import ProxiedRun, TokenRegistry

_PREFIX: Final = "impersonate-"
_USER: Final = "impersonate-user"
_UID: Final = "impersonate-uid"
_GROUP: Final = "impersonate-group"
_EXTRA_PREFIX: Final = "impersonate-extra-"
_SINGLE: Final = frozenset({_USER, _UID})
"""Of these the API server takes the first, and none where that is empty."""


@dataclass(frozen=True, slots=True)
class Authority:
    """The run that asks, and whom it impersonates.

    ``impersonation``: the headers for the API server, without the run's token.
    """

    run: ProxiedRun
    impersonation: tuple[tuple[str, str], ...] = ()

    @property
    def is_operators(self) -> bool:
        """Tell whether the operator's own rights serve the request.

        Where not, the API server alone can answer it.
        """
        return not self.impersonation


AUTHORITY: Final = web.RequestKey("authority", Authority)
"""The key under which a request holds its authority."""


def read_authority(headers: CIMultiDictProxy[str] | CIMultiDict[str], tokens: TokenRegistry) -> Authority:
    """Return a request's authority.

    The token is the bearer token, or for clients in Go the user that they impersonate (``kubeconfig``). Raises
    ``ApiError``: 401 without the token of a run that goes on, 400 for headers that say nothing certain.
    """
    limits = [(name, value) for name, value in headers.items() if name.lower().startswith(_PREFIX)]
    run = _run_of(headers.getall(hdrs.AUTHORIZATION, []), _values(limits, _USER), tokens)
    _check(limits)
    return Authority(run, tuple((name, value) for name, value in limits if (name.lower(), value) != (_USER, run.token)))


def without_impersonation(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    """Return headers without those that say whom a request impersonates."""
    return CIMultiDict((name, value) for name, value in headers.items() if not name.lower().startswith(_PREFIX))


def _run_of(credentials: Sequence[str], users: Sequence[str], tokens: TokenRegistry) -> ProxiedRun:
    if len(credentials) > 1:
        raise _malformed(f"{hdrs.AUTHORIZATION} is given {len(credentials)} times")
    if credentials:
        scheme, _, token = credentials[0].partition(" ")
        shown = [token.strip()] if scheme.lower() == "bearer" else []
    else:
        shown = list(users)
    for token in shown:
        if (run := tokens.run_of(token)) is not None:
            return run
    raise ApiError(HTTPStatus.UNAUTHORIZED, "Unauthorized", "the token is not that of a run that goes on")


def _check(limits: Sequence[tuple[str, str]]) -> None:
    """Raise ``ApiError`` where the API server would overlook a header."""
    for name, value in limits:
        lower = name.lower()
        if lower in _SINGLE and not value:
            raise _malformed(f"{name} is empty")
        if lower in _SINGLE and (times := len(_values(limits, lower))) > 1:
            raise _malformed(f"{name} is given {times} times")
        if lower not in {*_SINGLE, _GROUP} and not lower.startswith(_EXTRA_PREFIX):
            raise _malformed(f"{name} is no header of Kubernetes")


def _values(headers: Sequence[tuple[str, str]], lower: str) -> list[str]:
    return [value for name, value in headers if name.lower() == lower]


def _malformed(what: str) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, "BadRequest", f"the request does not say with whose rights: {what}")
