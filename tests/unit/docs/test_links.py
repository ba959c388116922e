"""Every relative link of every page leads to a file, and to a heading where it names one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.paths import REPOSITORY
from tests.unit.docs.pages import anchors, links, pages

if TYPE_CHECKING:
    from pathlib import Path


def problems(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere."""
    found = []
    for link in links(page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            found.append(f"{link}: no such file")
        elif anchor and anchor not in anchors(target.read_text()):
            found.append(f"{link}: no such heading")
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    assert problems(page) == []


def test_the_index_has_every_page() -> None:
    index = REPOSITORY / "docs" / "index.md"
    listed = {(index.parent / link.partition("#")[0]).resolve() for link in links(index.read_text())}
    decisions = REPOSITORY / "docs" / "decisions"
    expected = {page for page in pages() if page.is_relative_to(index.parent) and page.parent != decisions}
    assert expected - {index} <= listed
    assert decisions / "README.md" in listed


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`\n\n[a](gone.md) [b](#one-two) [c](#three) ![d](page.md#one-two)\n```\n[e](code.md)\n```\n"
    )
    assert problems(page) == ["gone.md: no such file", "#three: no such heading"]
