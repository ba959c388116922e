"""The tokens of runs: one for each, not to be guessed, valid until the run ends.

What was begun with a token ends with it, too.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from reconcile_runner.apimachinery.owners import Owner
from reconcile_runner.proxy.consistency import RunWrites
from reconcile_runner.proxy.openrequests import OpenRequests

TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class ProxiedRun:
    """A run in progress: its object, its token, what it has written and has open.

    ``working`` is held while a body of it is worked on aside.
    """

    owner: Owner
    token: str = field(repr=False)
    writes: RunWrites = field(default_factory=RunWrites)
    requests: OpenRequests = field(default_factory=OpenRequests)
    working: asyncio.Lock = field(default_factory=asyncio.Lock)


class TokenRegistry:
    """The tokens of the runs in progress."""

    def __init__(self) -> None:
        self._runs: dict[str, ProxiedRun] = {}

    @contextmanager
    def issue(self, owner: Owner) -> Iterator[str]:
        """Yield a token that is accepted until the block ends.

        Requests that are open then are ended.
        """
        token = secrets.token_urlsafe(TOKEN_BYTES)
        run = self._runs[token] = ProxiedRun(owner, token)
        try:
            yield token
        finally:
            del self._runs[token]
            run.requests.end()

    def run_of(self, token: str) -> ProxiedRun | None:
        """Return the run of a token.

        None for a token that was never issued, or whose run has ended.
        """
        return self._runs.get(token)
