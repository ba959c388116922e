"""Give images to the node's containerd, which has no registry to pull from.

Called by `cli` (`load`) and by `node` (the pause image).
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from devcluster.errors import DevclusterError
from devcluster.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

    from devcluster.node.files import NodeFiles

_NAMESPACE = "k8s.io"
"""containerd's namespace in which the kubelet looks for images."""


def import_archive(files: NodeFiles, ctr: Path, archive: Path) -> None:
    """Import an archive of images (docker-archive or oci-archive).

    Raises:
        DevclusterError: containerd refused it.

    """
    command = [str(ctr), f"--address={files.containerd_socket}", f"--namespace={_NAMESPACE}"]
    with Progress(f"loading {archive.name}"):
        answer = subprocess.run(
            [*command, "images", "import", str(archive)],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    if answer.returncode != 0:
        raise DevclusterError(f"{archive}: containerd does not take it: {answer.stderr.strip()}")
