"""How much who may edit an object can ask of the operator: one table.

An object's author is often not the operator's. What such an author can turn up has a bound here, which the operator's
author sets by a flag; what asks for more gets the bound. What a watch or a flag itself says is not bounded.
Reference for users: docs/limits.md.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Bound(enum.StrEnum):
    """The bounds, as the label ``bound`` of metrics has them."""

    VERBOSITY = "verbosity"
    ARTIFACTS = "artifacts"
    RECONCILE_PERIOD = "reconcile_period"
    METRIC_SERIES = "metric_series"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of one operator. Each field has the name of its ``Bound``.

    - ``verbosity``: the highest number of ``-v`` that an annotation gives
    - ``artifacts``: of how many runs of an object artifacts are kept at most, where an annotation says how many
    - ``reconcile_period``: the shortest period that an annotation gives, in seconds
    - ``metric_series``: objects that have a series of their own
    """

    verbosity: int = 4
    artifacts: int = 100
    reconcile_period: float = 5.0
    metric_series: int = 10_000

    def value(self, bound: Bound) -> float:
        """Return a bound as a number."""
        return float(getattr(self, bound))


DEFAULT_BOUNDS: Final = Bounds()

FLAGS: Final = {
    Bound.VERBOSITY: "--max-annotation-verbosity",
    Bound.ARTIFACTS: "--max-annotation-artifacts",
    Bound.RECONCILE_PERIOD: "--min-annotation-reconcile-period",
    Bound.METRIC_SERIES: "--max-metric-series",
}
"""The flag that sets each bound."""
