from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

from reconcile_devcluster.node import containerd
from reconcile_devcluster.node.network import NodeNetwork
from reconcile_devcluster.node.pauseimage import PAUSE_IMAGE

if TYPE_CHECKING:
    from reconcile_devcluster.node.files import NodeFiles
    from reconcile_devcluster.node.requirements import SystemPrograms


def test_containerd_uses_what_is_here_alone(files: NodeFiles, system: SystemPrograms) -> None:
    containerd.write_config(files, system, NodeNetwork(5))
    config = tomllib.loads(files.containerd_config.read_text())
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["sandbox_image"] == PAUSE_IMAGE
    assert cri["restrict_oom_score_adj"] is True
    assert cri["cni"] == {"bin_dir": "/usr/lib/cni", "conf_dir": str(files.cni_config)}
    assert cri["containerd"]["runtimes"]["runc"]["options"]["BinaryName"] == "/usr/sbin/runc"
    assert f"--config={files.containerd_config}" in containerd.containerd_command(files, system)


def test_pods_get_addresses_of_the_nodes_range(files: NodeFiles, system: SystemPrograms) -> None:
    containerd.write_config(files, system, NodeNetwork(5))
    (written,) = files.cni_config.iterdir()
    link, portmap = json.loads(written.read_text())["plugins"]
    assert link["ipam"]["ranges"] == [[{"subnet": "10.214.5.0/24"}]]
    assert (link["type"], portmap["type"]) == ("ptp", "portmap")
