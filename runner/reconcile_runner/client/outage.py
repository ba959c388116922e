"""Limits log lines about an outage: at its start, once a minute, at its end."""

from __future__ import annotations

from typing import Final

from reconcile_runner.clock import Clock

REMINDER_PERIOD: Final = 60.0
"""Seconds between two log lines about the same outage."""


class OutageLog:
    """Rate-limits log lines about an outage. The caller writes them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None
        self._cause = ""
        self._logged_at = 0.0

    def should_log(self, cause: str) -> bool:
        """Record a failure. True at its start, on a new cause, and once a minute."""
        now = self._clock.monotonic()
        if self._since is not None and cause == self._cause and now - self._logged_at < REMINDER_PERIOD:
            return False
        self._since = now if self._since is None else self._since
        self._cause = cause
        self._logged_at = now
        return True

    def end(self) -> float | None:
        """Record a success. Return how many seconds the outage took, None without one."""
        if self._since is None:
            return None
        lasted = round(self._clock.monotonic() - self._since, 1)
        self._since = None
        return lasted
