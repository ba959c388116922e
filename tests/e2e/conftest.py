"""A cluster with a real node, shared by the session and gone with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devcluster.binaries.finder import find_programs
from devcluster.cluster import Cluster, ClusterSpec
from devcluster.controlplane import foreground

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a devcluster with a node, in a directory of its own."""
    spec = ClusterSpec(tmp_path_factory.mktemp("devcluster-node"), node=True)
    with foreground(spec, find_programs) as running:
        yield running
