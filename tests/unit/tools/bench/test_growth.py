from __future__ import annotations

import pytest

from tools.bench.growth import _spread, column_of
from tools.bench.session import keys


@pytest.mark.parametrize(
    ("count", "expected"),
    [(2, ["f-0", "f-5"]), (10, [f"f-{n}" for n in range(10)]), (99, [f"f-{n}" for n in range(10)])],
    ids=["some", "all", "more than there are"],
)
def test_events_are_spread_over_the_foos(count: int, expected: list[str]) -> None:
    assert [key.name for key in _spread(keys("ns", "f", 10), count)] == expected


def test_columns_are_named_by_size() -> None:
    assert column_of(10_000) == "10,000 Foos"
