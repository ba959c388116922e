from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster.errors import DevclusterError
from reconcile_devcluster.layout import DataDirectory
from reconcile_devcluster.node import cgroups, cleanup, network
from reconcile_devcluster.node.files import NodeFiles
from reconcile_devcluster.process import ProcessIdentity
from tests.support.programs import SLEEPER

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note what would be removed from the machine."""
    names: list[str] = []

    def remove(group: str) -> list[Path]:
        names.append(group)
        return []

    monkeypatch.setattr(cgroups, "remove", remove)
    monkeypatch.setattr(network, "disconnect", names.append)
    return names


def test_without_a_node_the_machine_is_not_looked_at(removed: list[str], tmp_path: Path) -> None:
    cleanup.remove_traces(NodeFiles(DataDirectory(tmp_path)))
    assert removed == []


def test_link_and_control_group_of_this_node_go(files: NodeFiles, removed: list[str]) -> None:
    cleanup.remove_traces(files)
    assert removed[0] == files.cgroup
    assert set(removed[1:]) <= {files.host_link}


def test_process_1_is_ended_first(files: NodeFiles, removed: list[str]) -> None:
    with subprocess.Popen(SLEEPER) as process_1:
        files.save_process_1(ProcessIdentity.of(process_1.pid))
        identity = ProcessIdentity.of(process_1.pid)
        cleanup.remove_traces(files)
        assert not identity.is_alive()
    assert files.load_process_1() is None


def test_processes_that_do_not_end_are_an_error_that_names_their_group(
    files: NodeFiles, removed: list[str], monkeypatch: pytest.MonkeyPatch, make_program: Callable[[Path, str], Path]
) -> None:
    monkeypatch.setattr(cgroups, "remove", lambda group: [Path("/sys/fs/cgroup") / group.lstrip("/")])
    monkeypatch.setattr(cleanup, "_END_TIMEOUT", 0.0)
    with pytest.raises(DevclusterError, match=rf"{files.cgroup}: processes in it did not end"):
        cleanup.remove_traces(files)
