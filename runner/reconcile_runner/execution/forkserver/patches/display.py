"""Ansible's display shows a warning once per process.

This makes it forget those of a block. Otherwise a warning that was shown while a zygote prepared something would never
be shown by the plays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Final

_SHOWN: Final = ("_deprecations", "_warns", "_errors")


@contextlib.contextmanager
def discard_messages() -> Iterator[Callable[[], bool]]:
    """Forget after the block which messages were shown in it.

    Yields a function that tells if any were shown.
    """
    from ansible.utils.display import Display  # noqa: PLC0415 - not in the server

    # Sets; dictionaries before ansible-core 2.19.
    shown: list[Any] = [getattr(Display(), name) for name in _SHOWN]
    before = [each.copy() for each in shown]
    for each in shown:
        each.clear()
    try:
        yield lambda: any(shown)
    finally:
        for each, kept in zip(shown, before, strict=True):
            each.clear()
            each.update(kept)
