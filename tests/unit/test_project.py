"""Promises about the project as a whole, which no single module keeps."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
import yaml

import reconcile_devcluster
from reconcile_runner import __version__
from tests.support.paths import REPOSITORY

LONG = 500
"""Lines from which a module is asked about. No limit: a file is split where it holds two concepts."""


class LongModuleWarning(UserWarning):
    """A module is long. Nothing fails for it."""


MODULES = sorted((REPOSITORY / "runner" / "reconcile_runner").rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_the_runner_knows_no_foo(path: Path) -> None:
    assert not re.search(r"\bfoos?\b|\bhappy\b", path.read_text(), re.IGNORECASE)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_long_module_is_worth_the_question_whether_it_is_one_concept(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    if lines > LONG:
        question = f"{path.relative_to(REPOSITORY)} has {lines} lines: is it one concept? (CONTRIBUTING.md)"
        warnings.warn(question, LongModuleWarning, stacklevel=1)


def test_the_version_is_the_same_everywhere() -> None:
    newest = re.search(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == __version__ == reconcile_devcluster.__version__
    galaxy = REPOSITORY / "collections/ansible_collections/reconcile_runner/util/galaxy.yml"
    assert yaml.safe_load(galaxy.read_text())["version"] == __version__


@pytest.mark.parametrize("path", sorted((REPOSITORY / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_lock_files_are_hashed_and_hold_no_address(path: Path) -> None:
    text = path.read_text()
    assert "--hash=sha256:" in text
    assert "://" not in text
    assert "index-url" not in text


def test_make_help_shows_every_target() -> None:
    text = (REPOSITORY / "Makefile").read_text()
    targets = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    shown = re.findall(r"^([a-z0-9-]+):.*## \S", text, re.MULTILINE)
    assert shown == targets
