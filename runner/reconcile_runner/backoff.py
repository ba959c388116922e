"""How long to wait before trying again: what failed at the API server, and what failed for one object.

Source of ``Backoff``: client-go's reflector (0.8 s doubled to 30 s, jitter 1.0, reset after 2 min of health), so
that a server that comes back is not met by every watch at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FIRST_DELAY: Final = 0.8
LONGEST_DELAY: Final = 30.0
FACTOR: Final = 2.0


class Backoff:
    """Delays in seconds: 0.8, 1.6 … 30, each multiplied by a random factor from 1 to 2 (jitter 1.0).

    ``random_factor`` returns a number from 0 to 1.
    """

    def __init__(self, random_factor: Callable[[], float] = random.random) -> None:
        self._random_factor = random_factor
        self._delay = FIRST_DELAY

    def next(self) -> float:
        """Return the delay before the next attempt, and make the one after it longer."""
        delay = self._delay
        self._delay = min(delay * FACTOR, LONGEST_DELAY)
        return delay * (1.0 + self._random_factor())

    def reset(self) -> None:
        """Begin again with the shortest delay."""
        self._delay = FIRST_DELAY


@dataclass(frozen=True, slots=True)
class RetryDelays:
    """How long a failed request waits for its next try: ``base`` seconds, then twice as long each time, up to ``cap``.

    The defaults are client-go's, and upstream's with them: 5 ms, and 1000 s.
    """

    base: float = 0.005
    cap: float = 1000.0

    def after(self, failures: int, first: float = 0.0, last: float = 0.0) -> float:
        """Return the seconds to wait after so many failures in a row (>= 1).

        With ``first``, the wait is at least that long, and twice as long as ``last``, the wait before it.
        """
        delay = self.base * 2 ** min(failures - 1, 64)
        if first:
            delay = max(delay, first, 2 * last)
        return float(min(self.cap, delay))
