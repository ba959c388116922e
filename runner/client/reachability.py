"""Says once that the API server cannot be reached, and once that it can be again.

Every informer, run and probe meets the same outage; here is the one place that sees all of them, so theirs need no
line in the log.
"""

from __future__ import annotations

from typing import Final

import structlog

from runner.clock import Clock

_log = structlog.get_logger(__name__)

REMINDER_PERIOD: Final = 60.0
"""Seconds between two lines about the same outage."""


class Reachability:
    """What the last requests told about the way to the API server."""

    def __init__(self, server: str, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._lost_at: float | None = None
        self._logged_at = 0.0

    def lost(self, error: str) -> None:
        """Note a request that got no answer."""
        now = self._clock.monotonic()
        if self._lost_at is None:
            self._lost_at = now
        elif now - self._logged_at < REMINDER_PERIOD:
            return
        self._logged_at = now
        _log.warning("API server cannot be reached, trying again", error=error)

    def found(self) -> None:
        """Note an answer, whatever its status."""
        if self._lost_at is None:
            return
        lasted = round(self._clock.monotonic() - self._lost_at, 1)
        self._lost_at = None
        _log.info("API server can be reached again", server=self._server, seconds=lasted)
