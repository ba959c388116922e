from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster.node import cgroups

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """One hierarchy for each controller, as directories."""
    for name in ("cpuset", "memory"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").touch()
    (tmp_path / "cpuset" / "cpuset.cpus").write_text("0-1\n")
    (tmp_path / "cpuset" / "cpuset.mems").write_text("0\n")
    return tmp_path


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    """One hierarchy for all controllers, as a directory."""
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("memory pids\n")
    (tmp_path / "cgroup.procs").touch()
    (tmp_path / "system.slice").mkdir()
    (tmp_path / "system.slice" / "cgroup.procs").touch()
    return tmp_path


def test_hierarchies_are_one_for_each_controller_or_one_for_all(version_1: Path) -> None:
    assert cgroups.hierarchies(version_1) == [version_1 / "cpuset", version_1 / "memory"]


def test_there_is_one_hierarchy_for_all_controllers(version_2: Path) -> None:
    assert cgroups.hierarchies(version_2) == [version_2]


def test_a_group_is_made_in_each_hierarchy_and_gets_processors(version_1: Path) -> None:
    # The kernel makes a group's files with its directory.
    (version_1 / "cpuset" / "group").mkdir()
    for name in ("cpuset.cpus", "cpuset.mems"):
        (version_1 / "cpuset" / "group" / name).write_text("\n")
    cgroups.make("/group", version_1)
    assert (version_1 / "memory" / "group").is_dir()
    assert (version_1 / "cpuset" / "group" / "cpuset.cpus").read_text() == "0-1\n"
    assert (version_1 / "cpuset" / "group" / "cpuset.mems").read_text() == "0\n"


def test_groups_get_the_kubelets_controllers_that_they_do_not_have_yet(version_2: Path) -> None:
    cgroups.make("/group", version_2)
    assert (version_2 / "group").is_dir()
    assert (version_2 / "cgroup.subtree_control").read_text() == "+cpu +cpuset"


def test_a_group_goes_with_all_below_it(version_1: Path) -> None:
    (version_1 / "memory" / "group" / "kubepods" / "pod").mkdir(parents=True)
    (version_1 / "memory" / "somebodys").mkdir()
    assert cgroups.remove("/group", version_1) == []
    assert not (version_1 / "memory" / "group").exists()
    assert (version_1 / "memory" / "somebodys").exists()


def test_groups_that_cannot_go_are_named(version_1: Path) -> None:
    busy = version_1 / "memory" / "group" / "kubepods"
    busy.mkdir(parents=True)
    # Stands for a process: the kernel refuses to remove its group just so.
    (busy / "something").touch()
    assert cgroups.remove("/group", version_1) == [busy, busy.parent]
