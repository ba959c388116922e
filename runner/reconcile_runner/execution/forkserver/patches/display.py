"""What Ansible's display has said: it says a thing once in each process, and a run is to say its own.

``priming`` has nothing remembered of what a zygote's own work made Ansible say. ``yamlfiles`` asks whether it said
anything, for then the next run has to have it said again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

_SETS: Final = ("_deprecations", "_warns", "_errors")


@contextlib.contextmanager
def forgotten() -> Iterator[Callable[[], bool]]:
    """Have Ansible forget in the end what it said in the block; give a function that tells whether it said anything."""
    from ansible.utils.display import Display  # noqa: PLC0415 - not in the server

    said: list[set[str]] = [getattr(Display(), name) for name in _SETS]
    before = [set(each) for each in said]
    for each in said:
        each.clear()
    try:
        yield lambda: any(said)
    finally:
        for each, kept in zip(said, before, strict=True):
            each.clear()
            each.update(kept)
