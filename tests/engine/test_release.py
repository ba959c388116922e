"""What a release is made of: the commit alone, the same bytes each time, and a statement that says so."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from tools.environment import StepFailedError
from tools.release import differences, release
from tools.unit_as_stranger import copy_sources

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone whose files are those of the working tree, committed."""
    root = tmp_path_factory.mktemp("release") / "checkout"
    copy_sources(root)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    for command in (["init", "--quiet"], ["add", "--all"], [*identity, "commit", "--quiet", "--message=all"]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


def test_packages_are_the_same_bytes_and_the_statement_names_each_file(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "not-in-the-commit").touch()
    files = release(checkout, tmp_path / "one")
    assert [path.name.partition("-0")[0] for path in files] == [
        "ansible_reconcile_runner",
        "ansible_reconcile_runner",
        "reconcile_devcluster",
        "reconcile_devcluster",
        "reconcile_runner-util",
    ]
    statement = json.loads((tmp_path / "one" / "provenance.intoto.jsonl").read_text())
    assert [each["name"] for each in statement["subject"]] == [path.name for path in files]
    sums = (tmp_path / "one" / "SHA256SUMS").read_text().splitlines()
    assert sums == [f"{each['digest']['sha256']}  {each['name']}" for each in statement["subject"]]
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True)
    source = statement["predicate"]["buildDefinition"]["resolvedDependencies"][0]
    assert source["digest"] == {"gitCommit": head.stdout.strip()}
    wheel = next(path for path in files if path.suffix == ".whl" and path.name.startswith("ansible"))
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if "not-in-the-commit" in name]


def test_a_checkout_with_changes_is_refused(checkout: Path, tmp_path: Path) -> None:
    (checkout / "changed").touch()
    try:
        with pytest.raises(StepFailedError, match=r"changes.*\n\?\? changed"):
            release(checkout, tmp_path / "two")
    finally:
        (checkout / "changed").unlink()


def test_files_that_differ_or_are_missing_are_named(tmp_path: Path) -> None:
    for side, names in (("one", "abc"), ("two", "bcd")):
        (tmp_path / side).mkdir()
        for name in names:
            (tmp_path / side / name).write_text(side if name == "b" else name)
    assert differences(tmp_path / "one", tmp_path / "two") == ["a", "b", "d"]
