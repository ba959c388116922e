"""The pause image: one static program and nothing else, made here so that a node needs no registry.

`node` gives it to containerd before the first Pod starts.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

from reconcile_devcluster.binaries.pins import architecture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PAUSE_IMAGE = "localhost/devcluster-pause:1"
"""Name of the image, by which containerd asks for it."""

WELL_KNOWN_NAME = "registry.k8s.io/pause:3.10.1"
"""Name of Kubernetes' own image of this kind: Pods that only have to run ask for it, config/samples/ among them."""


def write_archive(program: Path, archive: Path, names: Sequence[str] = (PAUSE_IMAGE, WELL_KNOWN_NAME)) -> None:
    """Write the image as a docker-archive, the same one for the same program.

    Args:
        program: The static binary.
        archive: File to write.
        names: Names of the image.

    """
    layer = _tar({"pause": program.read_bytes()})
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps(
        {
            "architecture": architecture(),
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535", "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [*names], "Layers": [f"{digest}.tar"]}]).encode()
    archive.write_bytes(_tar({config_name: config, f"{digest}.tar": layer, "manifest.json": manifest}))


def _tar(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.mode = 0o755
            tar.addfile(member, io.BytesIO(content))
    return target.getvalue()
