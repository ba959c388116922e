"""Writes that may conflict with others: client-go's ``retry.RetryOnConflict``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from reconcile_runner.errors import ConflictError

MAX_CONFLICTS: Final = 5
"""Conflicts in a row after which a write is given up."""

_Read = TypeVar("_Read")
_Written = TypeVar("_Written")


async def retry_on_conflict(
    read: Callable[[], Awaitable[_Read]],
    write: Callable[[_Read], Awaitable[_Written]],
    *,
    known: _Read | None = None,
) -> _Written:
    """Return what ``write`` makes of what ``read`` returns.

    On a conflict, read and write again.

    ``known`` is what was read already: the first write is made from it. Raises ``ConflictError`` after
    ``MAX_CONFLICTS`` of them, and what else either function raises.
    """
    current = await read() if known is None else known
    for _ in range(MAX_CONFLICTS - 1):
        try:
            return await write(current)
        except ConflictError:
            current = await read()
    return await write(current)
