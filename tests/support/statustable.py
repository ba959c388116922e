"""The table of docs/reference/status.md of what other tools conclude: where it is, and how it is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from tests.support.paths import REPOSITORY

PAGE: Final = REPOSITORY / "docs" / "reference" / "status.md"
BEGIN: Final = "<!-- what other tools conclude: made by `make status-table` -->"
END: Final = "<!-- end of what other tools conclude -->"


@dataclass(frozen=True, slots=True)
class Row:
    """A moment in an object's life, and what is concluded then.

    ``is_met``: ``kubectl wait --for=condition=Ready`` ends.
    """

    moment: str
    kstatus: str
    is_met: bool


def rendered(rows: Iterable[Row]) -> str:
    """Return the table."""
    lines = [f"| {row.moment} | {row.kstatus} | {'is met' if row.is_met else 'waits'} |" for row in rows]
    head = ["| The object | kstatus | `kubectl wait --for=condition=Ready` |", "|---|---|---|"]
    return "\n".join([*head, *lines])


def written() -> str:
    """Return the table of the page."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def write(table: str) -> None:
    """Write the table into the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
