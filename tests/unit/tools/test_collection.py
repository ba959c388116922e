from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tools.collection import COLLECTION, complaints
from tools.lock import CORES

HEADER = "# SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0"
KNOWN = (
    "WARNING: tests/sanity/ignore-2.19.txt:1: sanity[cannot-ignore]: Ignore file contains"
    " validate-modules:invalid-argument-name at line 1, which is not a permitted ignore."
)


def test_what_is_known_is_no_complaint() -> None:
    assert complaints(f"Importing with galaxy-importer\n{KNOWN}\nImporter processing completed successfully") == []


@pytest.mark.parametrize("level", ["ERROR", "WARNING"])
def test_all_else_is(level: str) -> None:
    assert complaints(f"{KNOWN}\n{level}: No changelog found") == [f"{level}: No changelog found"]


@pytest.mark.parametrize("path", sorted(COLLECTION.rglob("*.py")), ids=lambda path: path.stem)
def test_each_file_says_under_which_licence_it_is(path: Path) -> None:
    assert HEADER in path.read_text().splitlines()[:6]


def test_an_ignored_check_is_one_that_upstreams_option_fails() -> None:
    [*files] = (COLLECTION / "tests/sanity").glob("ignore-*.txt")
    entries = {line.split("#")[0].strip() for path in files for line in path.read_text().splitlines()}
    allowed = ("invalid-argument-name", "nonexistent-parameter-documented")
    assert entries == {f"plugins/modules/k8s_event.py validate-modules:{code}" for code in allowed}


def test_the_changelog_has_the_version_and_all_modules() -> None:
    version = yaml.safe_load((COLLECTION / "galaxy.yml").read_text())["version"]
    release = yaml.safe_load((COLLECTION / "changelogs/changelog.yaml").read_text())["releases"][version]
    rendered = (COLLECTION / "CHANGELOG.rst").read_text()
    assert f"v{version}\n" in rendered
    modules = {path.stem for path in (COLLECTION / "plugins/modules").glob("*.py")}
    assert {module["name"] for module in release["modules"]} == modules
    assert set(re.findall(r"^- reconcile_runner\.util\.(\w+) - ", rendered, re.MULTILINE)) == modules


def test_ansible_test_of_each_core_ignores_the_same() -> None:
    texts = {core: (COLLECTION / "tests" / "sanity" / f"ignore-{core}.txt").read_text() for core in CORES}
    assert len(set(texts.values())) == 1, texts
