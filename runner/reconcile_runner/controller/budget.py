"""What the objects of a namespace may have reconciled in others."""

from __future__ import annotations

from typing import Final

from reconcile_runner.clock import Clock

FOREIGN_BURST: Final = 2000
"""Reconciles in a row that the objects of a namespace may ask for in others.

A thousand owners hear at once of what happens to their dependents there.
"""
FOREIGN_PERIOD: Final = 30.0
"""Seconds after which they may ask for another one."""
_MAX_REMEMBERED: Final = 1000
"""Namespaces that are remembered before those are looked for that have their whole budget again."""


class NamespaceBudget:
    """Who may edit an object in one namespace cannot keep objects of others reconciling without end.

    A budget holds ``burst`` reconciles, and gets one back every ``period`` seconds. What is asked for beyond it waits
    and is not lost.
    """

    def __init__(self, clock: Clock, burst: int = FOREIGN_BURST, period: float = FOREIGN_PERIOD) -> None:
        self._clock = clock
        self._burst = burst
        self._period = period
        self._whole_at: dict[str, float] = {}

    def delay(self, namespace: str) -> float:
        """Return for how many seconds the namespace's next reconcile waits."""
        now = self._clock.monotonic()
        return max(0.0, self._whole_at.get(namespace, now) - now - (self._burst - 1) * self._period)

    def spend(self, namespace: str) -> None:
        """Take one reconcile out of a namespace's budget."""
        now = self._clock.monotonic()
        self._whole_at[namespace] = max(now, self._whole_at.get(namespace, now)) + self._period
        if len(self._whole_at) > _MAX_REMEMBERED:
            self._whole_at = {name: moment for name, moment in self._whole_at.items() if moment > now}
