"""Log lines that a page shows are lines that the operator writes, from the logger that it names."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.support.paths import REPOSITORY
from tests.unit.docs.pages import pages

LINE: Final = re.compile(r"(?m)^\d\d:\d\d:\d\d \[\w+ *\] (?P<msg>.+?) +\[(?P<logger>[\w.]+)\]")
"""A line as a terminal shows it."""

KNOWN: Final = (REPOSITORY / "docs" / "reference" / "logs.md").read_text()
SHOWN: Final = sorted(
    {(found["msg"], found["logger"]) for page in pages() for found in LINE.finditer(page.read_text())}
)


@pytest.mark.parametrize(("msg", "logger"), [line for line in SHOWN if line[1] != "role"])
def test_a_line_that_is_shown_is_in_the_reference(msg: str, logger: str) -> None:
    assert f"| `{msg}` |" in KNOWN
    assert f"`{logger}`" in KNOWN


def test_lines_are_found() -> None:
    assert ("reconciling", "reconciler") in SHOWN
