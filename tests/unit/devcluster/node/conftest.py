"""What modules of the node are handed by others."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconcile_devcluster.layout import DataDirectory
from reconcile_devcluster.node.files import NodeFiles
from reconcile_devcluster.node.requirements import SystemPrograms


@pytest.fixture
def files(tmp_path: Path) -> NodeFiles:
    """Files of a node, in a directory that is there."""
    made = NodeFiles(DataDirectory(tmp_path / "data"))
    made.root.mkdir(parents=True)
    return made


@pytest.fixture
def system() -> SystemPrograms:
    """Programs of the distribution, by paths alone."""
    return SystemPrograms(
        containerd=Path("/usr/bin/containerd"),
        ctr=Path("/usr/bin/ctr"),
        runc=Path("/usr/sbin/runc"),
        cni_plugins=Path("/usr/lib/cni"),
    )
