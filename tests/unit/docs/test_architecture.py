"""What docs/architecture.md says of the code: its packages, and where each thing is decided."""

from __future__ import annotations

import re

import pytest

from tests.support.paths import REPOSITORY
from tools import structure

PAGE = REPOSITORY / "docs" / "architecture.md"
ANSWERS = re.findall(r"\[`[^`]+`\]\(\.\./([^)]+\.py)\), `(\w+)` \|", PAGE.read_text())


def test_the_table_names_each_package_once() -> None:
    table = PAGE.read_text().partition("| Package |")[2].partition("\n\n")[0]
    named = re.findall(r"^\| \[?`(\w+)`", table, re.MULTILINE)
    layers = structure.layers_of("reconcile_runner", (REPOSITORY / "pyproject.toml").read_text())
    assert sorted(named) == sorted(name for layer in layers for name in layer)


def test_there_are_answers() -> None:
    assert len(ANSWERS) >= 9


@pytest.mark.parametrize(("file", "name"), ANSWERS, ids=[name for _, name in ANSWERS])
def test_an_answer_is_where_the_page_says(file: str, name: str) -> None:
    defined = rf"^ *(async def|def|class) {name}\b"
    assert re.search(defined, (REPOSITORY / file).read_text(), re.MULTILINE), f"{file} does not define {name}"
