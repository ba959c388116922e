from __future__ import annotations

import statistics
from collections.abc import Sequence

import pytest

from tools.bench.stats import Line, fit_line, percentile


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([3.0], 99, 3.0),
        ([1.0, 2.0, 3.0], 50, 2.0),
        ([3.0, 1.0, 2.0], 50, 2.0),
        ([0.0, 1.0], 50, 0.5),
        ([float(number) for number in range(101)], 95, 95.0),
        ([float(number) for number in range(101)], 99, 99.0),
        ([5.0] * 50, 99, 5.0),
    ],
    ids=["one value", "the middle", "any order", "between two", "p95", "p99", "all alike"],
)
def test_percentile(values: Sequence[float], percent: int, expected: float) -> None:
    assert percentile(values, percent) == pytest.approx(expected)


def test_a_percentile_never_exceeds_the_greatest_value() -> None:
    assert percentile([1.0] * 49 + [9.0], 99) <= 9.0


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], 0), ([1.0], 100)], ids=["none", "p0", "p100"])
def test_no_percentile_of_nothing_or_beyond_the_values(values: Sequence[float], percent: int) -> None:
    with pytest.raises(ValueError, match="no percentile"):
        percentile(values, percent)


def test_finds_the_line_that_points_lie_on() -> None:
    line = fit_line([(1.0, 1.5), (2.0, 2.0), (5.0, 3.5), (20.0, 11.0)])
    assert (line.fixed, line.each) == pytest.approx((1.0, 0.5))


def test_finds_the_line_with_the_least_squares() -> None:
    assert fit_line([(0.0, 0.0), (1.0, 2.0), (2.0, 1.0)]) == Line(fixed=0.5, each=0.5)


def test_no_line_through_points_above_each_other() -> None:
    with pytest.raises(statistics.StatisticsError):
        fit_line([(1.0, 1.0), (1.0, 2.0)])
