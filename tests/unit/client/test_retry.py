"""A write that collides is made again from what is there then."""

from __future__ import annotations

import pytest

from reconcile_runner.client import MAX_CONFLICTS, retry_on_conflict
from reconcile_runner.errors import ConflictError


class Versions:
    """Reads count up; the first ``conflicts`` writes collide."""

    def __init__(self, conflicts: int) -> None:
        self.conflicts = conflicts
        self.reads = 0
        self.written: list[int] = []

    async def read(self) -> int:
        self.reads += 1
        return self.reads

    async def write(self, version: int) -> str:
        self.written.append(version)
        if len(self.written) <= self.conflicts:
            raise ConflictError(409, "Conflict", "changed")
        return f"stored {version}"


async def test_each_write_is_made_from_what_was_read_for_it() -> None:
    versions = Versions(conflicts=MAX_CONFLICTS - 1)
    assert await retry_on_conflict(versions.read, versions.write) == f"stored {MAX_CONFLICTS}"
    assert versions.written == list(range(1, MAX_CONFLICTS + 1))


async def test_the_first_write_needs_no_read_where_the_object_is_known() -> None:
    versions = Versions(conflicts=1)
    assert await retry_on_conflict(versions.read, versions.write, known=0) == "stored 1"
    assert versions.written == [0, 1]


async def test_a_write_that_always_collides_is_given_up() -> None:
    versions = Versions(conflicts=MAX_CONFLICTS)
    with pytest.raises(ConflictError):
        await retry_on_conflict(versions.read, versions.write)
    assert len(versions.written) == MAX_CONFLICTS
