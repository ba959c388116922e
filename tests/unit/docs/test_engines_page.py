"""Each sentence of the page on engines names tests that show it, and those tests are there."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.support.paths import REPOSITORY
from tests.unit.docs.pages import prose

PAGE: Final = REPOSITORY / "docs" / "reference" / "engines.md"
SHOWN_BY: Final = re.compile(r"^ *<!-- shown by\n(.*?)^ *-->\n?", re.MULTILINE | re.DOTALL)
CLAIMS: Final = re.compile(r"[.!?](?=\**(?:\s|$))")
"""The end of a sentence."""


def blocks(text: str) -> list[tuple[str, list[str]]]:
    """Return each paragraph, list item or table, with a line of tests for each of its sentences or rows."""
    found = []
    end = 0
    for comment in SHOWN_BY.finditer(text):
        found.append((text[end : comment.start()], _lines(comment[1])))
        end = comment.end()
    found.append((text[end:], []))
    return [(re.sub(r"(?m)^#.*$", "", block).strip(), lines) for block, lines in found if block.strip()]


def _lines(comment: str) -> list[str]:
    """Return the lines, joined where one ends with a comma."""
    return [line.strip() for line in re.sub(r",\n *", ", ", comment).splitlines()]


def claims(block: str) -> int:
    if block.startswith("|"):
        return len(block.splitlines()) - 2
    return len(CLAIMS.findall(block))


def unnamed(text: str) -> list[str]:
    """Return the blocks that have more or fewer claims than lines of tests."""
    return [f"{claims(block)} claims, {len(lines)} lines: {block[:60]}" for block, lines in blocks(text)
            if claims(block) != len(lines)]  # fmt: skip


def every_test() -> set[str]:
    files = (REPOSITORY / "tests").rglob("test_*.py")
    return {name for file in files for name in re.findall(r"(?m)^(?:async )?def (test_\w+)", file.read_text())}


def test_each_claim_has_its_tests() -> None:
    assert unnamed(prose(PAGE.read_text())) == []


def test_each_named_test_is_there() -> None:
    named = {name.strip() for _, lines in blocks(PAGE.read_text()) for line in lines for name in line.split(",")}
    assert len(named) > 50
    assert named - every_test() == set()


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("One. Two.\n<!-- shown by\ntest_a\ntest_b\n-->\n", 0),
        ("One. Two.\n<!-- shown by\ntest_a\n-->\n", 1),
        ("**One.** Of 2.19 two: three.\n<!-- shown by\ntest_a\ntest_b\n-->\n", 0),
        ("- One.\n  <!-- shown by\n  test_a\n  -->\n- Two.\n", 1),
        ("| a |\n|---|\n| one |\n| two |\n\n<!-- shown by\ntest_a\ntest_b\n-->\n", 0),
        ("## Heading\n\nOne.\n", 1),
    ],
)
def test_a_claim_without_a_line_is_found(text: str, missing: int) -> None:
    assert len(unnamed(text)) == missing
