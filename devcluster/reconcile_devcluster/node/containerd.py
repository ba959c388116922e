"""containerd of the node: configuration, command line, and the network plugin's configuration.

`node` starts it in the node's namespaces, where its paths are its own although they have their usual names.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconcile_devcluster.node.files import CONTAINERD_SOCKET
from reconcile_devcluster.node.pauseimage import PAUSE_IMAGE

if TYPE_CHECKING:
    from reconcile_devcluster.node.files import NodeFiles
    from reconcile_devcluster.node.network import NodeNetwork
    from reconcile_devcluster.node.requirements import SystemPrograms

CONTAINERD = "containerd"


def write_config(files: NodeFiles, programs: SystemPrograms, network: NodeNetwork) -> None:
    """Write containerd's configuration and that of the network plugins."""
    files.containerd_config.write_text(_config(files, programs), encoding="utf-8")
    files.cni_config.mkdir(exist_ok=True)
    text = json.dumps(_cni_config(network), indent=2)
    (files.cni_config / "10-devcluster.conflist").write_text(text, encoding="utf-8")


def containerd_command(files: NodeFiles, programs: SystemPrograms) -> list[str]:
    """Return the command line of containerd with its configuration."""
    return [str(programs.containerd), f"--config={files.containerd_config}", "--log-level=warn"]


def _config(files: NodeFiles, programs: SystemPrograms) -> str:
    return f"""\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.opt",
]

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = {_quoted(PAUSE_IMAGE)}
# Some machines withhold CAP_SYS_RESOURCE, without which a process cannot become dearer to the out-of-memory killer.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = {_quoted(programs.runc)}
SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {_quoted(programs.cni_plugins)}
conf_dir = {_quoted(files.cni_config)}
"""


def _quoted(text: object) -> str:
    """Return a TOML string; JSON's are such."""
    return json.dumps(str(text))


def _cni_config(network: NodeNetwork) -> dict[str, object]:
    # A link for each Pod rather than a bridge: what crosses a bridge meets the firewall rules of Services only where
    # the machine has loaded br_netfilter.
    link = {
        "type": "ptp",
        "ipMasq": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": str(network.pod_range)}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "devcluster", "plugins": [link, portmap]}
