"""The little statistics that the figures need, by the standard library."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_HUNDREDTHS = 100


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value that ``percent`` (1 to 99) of the values do not exceed, interpolated between neighbours.

    Raises ``ValueError`` for no values, or another percentage.
    """
    if not values or not 0 < percent < _HUNDREDTHS:
        raise ValueError(f"no percentile {percent} of {len(values)} values")
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=_HUNDREDTHS, method="inclusive")[percent - 1]


@dataclass(frozen=True, slots=True)
class Line:
    """``fixed`` plus ``each`` times x."""

    fixed: float
    each: float


def fit_line(points: Sequence[tuple[float, float]]) -> Line:
    """Return the line through points (x, y) with the least squared error in y.

    Raises ``statistics.StatisticsError`` for fewer than two different x.
    """
    slope, intercept = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    return Line(fixed=intercept, each=slope)
