"""The pages of the documents, as GitHub reads them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from tests.support.paths import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDERS: Final = ("docs", "collections", "config", "devcluster", "examples", "roles", "tools")


def pages() -> list[Path]:
    """Return all Markdown pages of the repository, those of the top level first."""
    below = (path for folder in FOLDERS for path in sorted((REPOSITORY / folder).rglob("*.md")))
    return [*sorted(REPOSITORY.glob("*.md")), *below]


def prose(text: str) -> str:
    """Return the text without its code blocks. The number of lines stays."""
    return re.sub(r"(?ms)^ *```.*?^ *```$", lambda block: "\n" * block[0].count("\n"), text)


def links(text: str) -> Iterator[str]:
    """Yield the targets of links and pictures within the repository."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, spelled as GitHub spells them."""
    found: set[str] = set()
    for heading in re.findall(r"(?m)^#{1,6} +(.+)$", prose(text)):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found
