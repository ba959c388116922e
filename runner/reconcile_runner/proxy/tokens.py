"""One unguessable token for each run, void when the run has ended.

``reconciler`` issues a token for the object it runs for; ``server`` asks whose token a request carries.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from reconcile_runner.apimachinery.owners import Owner
from reconcile_runner.proxy.consistency import RunWrites

TOKEN_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class ProxiedRun:
    """A run that goes on: who it is for, the token that it shows, and what it has written."""

    owner: Owner
    token: str = field(repr=False)
    writes: RunWrites = field(default_factory=RunWrites)


RUN: Final = web.RequestKey("run", ProxiedRun)
"""Where ``server`` notes whose request it is."""


class TokenRegistry:
    """The tokens of the runs that go on."""

    def __init__(self) -> None:
        self._runs: dict[str, ProxiedRun] = {}

    @contextmanager
    def issue(self, owner: Owner) -> Iterator[str]:
        """Yield a token that is accepted until the block ends."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._runs[token] = ProxiedRun(owner, token)
        try:
            yield token
        finally:
            del self._runs[token]

    def run_of(self, token: str) -> ProxiedRun | None:
        """Return whose token it is, or None for one that was never issued or whose run has ended."""
        return self._runs.get(token)
