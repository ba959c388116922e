"""Go durations: ``10h``, ``1m30s``, ``500ms``.

Upstream's flags, ``watches.yaml`` and annotations are spelt like this.

Grammar: Go's ``time.ParseDuration``. The runner itself counts in seconds everywhere.
"""

from __future__ import annotations

import re

import durationpy

_GO_DURATION = re.compile(r"[-+]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)

EXPECTED = "a number with a unit, such as 30s, 10m or 1h30m"
"""What a text that is no duration should have been, for messages."""


def parse_duration(text: str) -> float:
    """Return seconds (>= 0).

    Raises ``ValueError`` with one sentence that says what was expected.
    """
    # durationpy alone would take days and years, and spaces in between: not Go's, so not portable.
    if not _GO_DURATION.fullmatch(text):
        raise ValueError(f"found {text!r}, expected {EXPECTED}")
    try:
        seconds: float = durationpy.from_str(text).total_seconds()
    except (durationpy.DurationError, OverflowError) as error:
        raise ValueError(f"found {text!r}, expected {EXPECTED}: {error}") from error
    if seconds < 0:
        raise ValueError(f"found {text!r}, expected a duration that is not negative")
    return seconds
