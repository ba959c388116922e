"""Processes that a test's playbook starts and that do nothing but sleep, found wherever they went."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

_naps = itertools.count(int(f"{os.getpid() % 10000:04}000"))


def new_nap() -> str:
    """Return a length of sleep (days) that no other process of this machine sleeps, to know a test's by."""
    return f"{next(_naps)}.5"


def sleepers(nap: str) -> frozenset[int]:
    """Return the processes that sleep that long, found by their command lines alone."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", nap.encode()]:
                found.add(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return frozenset(found)
