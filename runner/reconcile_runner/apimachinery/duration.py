"""Go durations: ``10h``, ``1m30s``, ``500ms``.

Upstream's flags, ``watches.yaml`` and annotations are spelt like this.

Grammar: Go's ``time.ParseDuration``. The runner itself counts in seconds everywhere.
"""

from __future__ import annotations

import re
from typing import Final

import durationpy

_GO_DURATION = re.compile(r"[-+]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)

MAX_SECONDS: Final = (2**63 - 1) / 1e9
"""The longest duration of Go, 292 years."""
_MAX_CHARACTERS: Final = 200
"""Characters of a duration at most: Go writes its longest one with 25."""
_EXCERPT_CHARACTERS: Final = 40

EXPECTED = "a number with a unit, such as 30s, 10m or 1h30m"
"""What a text that is no duration should have been, for messages."""


def parse_duration(text: str) -> float:
    """Return seconds (>= 0).

    Raises ``ValueError`` with one sentence that says what was expected.
    """
    # durationpy alone would take days and years, and spaces in between: not Go's, so not portable.
    if len(text) > _MAX_CHARACTERS or not _GO_DURATION.fullmatch(text):
        raise ValueError(f"found {excerpt(text)}, expected {EXPECTED}")
    try:
        seconds: float = durationpy.from_str(text).total_seconds()
    except (durationpy.DurationError, OverflowError) as error:
        raise ValueError(f"found {excerpt(text)}, expected {EXPECTED}: {error}") from error
    if seconds < 0:
        raise ValueError(f"found {excerpt(text)}, expected a duration that is not negative")
    if seconds > MAX_SECONDS:
        raise ValueError(f"found {excerpt(text)}, expected a duration of 292 years at most, as Go's")
    return seconds


def excerpt(text: str) -> str:
    """Return a user's text in quotes, for a message; of a long one its beginning."""
    return repr(text) if len(text) <= _EXCERPT_CHARACTERS else repr(text[:_EXCERPT_CHARACTERS] + "…")
