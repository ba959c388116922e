"""One unguessable token for each run, void when the run has ended.

``reconciler`` issues a token for the object it runs for; ``server`` asks whose token a request carries.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from runner.objects import GroupVersionKind, ObjectKey

TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Owner:
    """The object that a run is for: who a request through the proxy comes from."""

    gvk: GroupVersionKind
    key: ObjectKey
    uid: str


class TokenRegistry:
    """The tokens of the runs in hand."""

    def __init__(self) -> None:
        self._owners: dict[str, Owner] = {}

    @contextmanager
    def issue(self, owner: Owner) -> Iterator[str]:
        """Yield a token that is accepted until the block ends."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._owners[token] = owner
        try:
            yield token
        finally:
            del self._owners[token]

    def owner_of(self, token: str) -> Owner | None:
        """Return whose token it is, or None for one that was never issued or whose run has ended."""
        return self._owners.get(token)
