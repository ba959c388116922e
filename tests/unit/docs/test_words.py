"""Plain words in pages, docstrings, comments, log lines and messages: docs/contributing.md has the list."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.paths import REPOSITORY
from tests.unit.docs.pages import pages

if TYPE_CHECKING:
    from pathlib import Path

WRITING: Final = REPOSITORY / "docs" / "contributing.md"
WORDS: Final = ", ".join(re.findall(r"(?m)^\| (.+?) \|", WRITING.read_text().partition("|---|---|")[2])).split(", ")
SEARCHED: Final = re.compile(r"\b(" + "|".join(WORDS).replace(" ", r"\s+") + r")\b", re.IGNORECASE)
CODE: Final = ("runner", "devcluster", "tools", "collections")


def texts() -> list[Path]:
    """Return all pages but the one with the list, and the modules of what is installed or used."""
    modules = [path for folder in CODE for path in sorted((REPOSITORY / folder).rglob("*.py"))]
    return [path for path in [*pages(), *modules] if path != WRITING]


def test_the_list_is_read() -> None:
    assert "anew" in WORDS
    assert SEARCHED.search("for\never")


@pytest.mark.parametrize("path", texts(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_words_to_avoid_are_avoided(path: Path) -> None:
    assert SEARCHED.findall(path.read_text()) == []
