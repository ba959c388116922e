from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from reconcile_devcluster.errors import DevclusterError
from reconcile_devcluster.layout import DataDirectory
from reconcile_devcluster.node.files import NodeFiles
from reconcile_devcluster.process import ProcessIdentity

OURS = ProcessIdentity.of(os.getpid())


def test_nodes_of_two_directories_share_no_name() -> None:
    one, other = (NodeFiles(DataDirectory(Path(path))) for path in ("/one", "/other"))
    assert one.host_link != other.host_link
    assert one.cgroup != other.cgroup
    assert one.host_link == NodeFiles(DataDirectory(Path("/one"))).host_link


def test_the_kernel_allows_the_link_its_name() -> None:
    assert len(NodeFiles(DataDirectory(Path("/a" * 500))).host_link) <= 15


def test_process_1_is_remembered(files: NodeFiles) -> None:
    assert files.load_process_1() is None
    files.save_process_1(OURS)
    assert files.load_process_1() == OURS
    assert files.read_pid() == OURS.pid
    assert files.containerd_socket == f"/proc/{OURS.pid}/root/run/containerd/containerd.sock"


def test_a_node_whose_process_1_has_ended_does_not_run(files: NodeFiles) -> None:
    files.save_process_1(replace(OURS, start_ticks=0))
    with pytest.raises(DevclusterError, match=r"no node runs in .*/data"):
        files.read_pid()


@pytest.mark.parametrize("text", ["", "{", "{}", "[]"])
def test_a_damaged_file_is_no_process(text: str, files: NodeFiles) -> None:
    files.process_1.write_text(text)
    assert files.load_process_1() is None
