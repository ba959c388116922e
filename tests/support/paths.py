"""Where things are in this checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
TESTDATA: Final = REPOSITORY / "tests" / "testdata"
EVENTS: Final = TESTDATA / "events"
"""What ansible-runner said of one playbook each, recorded with each supported ansible-core."""
