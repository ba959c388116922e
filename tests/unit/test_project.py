"""Promises about the project as a whole, which no single module keeps."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from runner import __version__

REPOSITORY = Path(__file__).parents[2]
MODULES = sorted((REPOSITORY / "runner").rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_runner_knows_no_foo(path: Path) -> None:
    assert not re.search(r"\bfoos?\b|\bhappy\b", path.read_text(), re.IGNORECASE)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_module_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    newest = re.search(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert project["project"]["version"] == newest[1] == __version__


@pytest.mark.parametrize("path", sorted((REPOSITORY / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_lock_files_are_hashed_and_hold_no_address(path: Path) -> None:
    text = path.read_text()
    assert "--hash=sha256:" in text
    assert "://" not in text
    assert "index-url" not in text


@pytest.mark.parametrize(
    "target", re.findall(r"\]\((?!http)([^)#]+)\)", (REPOSITORY / "README.md").read_text()), ids=str
)
def test_links_of_the_readme_lead_somewhere(target: str) -> None:
    assert (REPOSITORY / target).exists()
