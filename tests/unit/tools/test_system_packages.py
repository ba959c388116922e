from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster.node.requirements import DEBIAN_PACKAGES
from tools import system_packages
from tools.system_packages import PACKAGES, PackageGroup, SystemPackage, missing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@pytest.fixture
def some_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Declare one package that is there, and two that are not."""
    there = tmp_path / "program"
    there.touch()
    packages = (
        SystemPackage("there", ("no-such-program", str(there))),
        SystemPackage("one", ("no-such-program-1",)),
        SystemPackage("two", ("/no/such/file",)),
    )
    monkeypatch.setitem(PACKAGES, PackageGroup.NODE, packages)
    monkeypatch.setitem(PACKAGES, PackageGroup.IMAGE, packages[1:])


@pytest.fixture
def apt_get(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the calls of a package manager whose first install fails for want of its lists."""
    calls: list[list[str]] = []

    def run_step(_what: str, command: Sequence[str], _timeout: float | None) -> subprocess.CompletedProcess[str]:
        calls.append(list(command))
        return subprocess.CompletedProcess(command, 100 if len(calls) == 1 else 0, stdout="no lists")

    monkeypatch.setattr(system_packages, "run_step", run_step)
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if name == "apt-get" else None)
    return calls


@pytest.mark.usefixtures("some_missing")
def test_what_is_there_by_any_evidence_is_not_missing_and_a_name_comes_once() -> None:
    assert missing([PackageGroup.NODE, PackageGroup.IMAGE]) == ["one", "two"]


@pytest.mark.usefixtures("some_missing")
def test_root_gets_what_is_missing_installed_with_the_lists_renewed_where_needed(
    monkeypatch: pytest.MonkeyPatch, apt_get: list[list[str]]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    system_packages.main(["node"])
    assert [call[3] for call in apt_get] == ["install", "update", "install"]
    assert apt_get[-1][-2:] == ["one", "two"]


@pytest.mark.usefixtures("some_missing", "apt_get")
def test_others_are_told_the_one_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit) as ended:
        system_packages.main(["node", "image"])
    assert ended.value.code == 2
    assert "sudo apt-get install one two" in capsys.readouterr().err


def test_an_unknown_group_is_answered_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        system_packages.main(["nodes"])
    assert ended.value.code == 1
    assert "of image, node, python; found ['nodes']" in capsys.readouterr().err


def test_an_installed_devcluster_names_the_same_packages() -> None:
    assert tuple(package.name for package in PACKAGES[PackageGroup.NODE]) == DEBIAN_PACKAGES
