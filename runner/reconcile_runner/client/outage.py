"""When to speak of trouble: once when it begins, once a minute while it lasts, once when it is over."""

from __future__ import annotations

from typing import Final

from reconcile_runner.clock import Clock

REMINDER_PERIOD: Final = 60.0
"""Seconds between two log lines about the same outage."""


class OutageLog:
    """One thing that can go wrong and be well again. It counts and remembers; its owner writes the log."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: float | None = None
        self._cause = ""
        self._spoken_at = 0.0

    def should_log(self, cause: str) -> bool:
        """Note that it goes wrong; tell whether that deserves a line: it began, its cause is new, a minute passed."""
        now = self._clock.monotonic()
        if self._since is not None and cause == self._cause and now - self._spoken_at < REMINDER_PERIOD:
            return False
        self._since = now if self._since is None else self._since
        self._cause = cause
        self._spoken_at = now
        return True

    def end(self) -> float | None:
        """Note that all is well; return how many seconds it was not, or None where it was well already."""
        if self._since is None:
            return None
        lasted = round(self._clock.monotonic() - self._since, 1)
        self._since = None
        return lasted
