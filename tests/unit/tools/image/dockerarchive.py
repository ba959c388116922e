"""Writes docker-archives for tests."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def member(
    name: str, content: bytes = b"", mode: int = 0o644, kind: bytes = tarfile.REGTYPE
) -> tuple[tarfile.TarInfo, bytes]:
    """Return a path of a layer."""
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.size = mode, kind, len(content)
    return info, content


def directory(name: str, mode: int = 0o755) -> tuple[tarfile.TarInfo, bytes]:
    """Return a directory of a layer."""
    return member(name, mode=mode, kind=tarfile.DIRTYPE)


def write(
    path: Path, layers: Sequence[Sequence[tuple[tarfile.TarInfo, bytes]]], config: Mapping[str, Any] | None = None
) -> Path:
    """Write an archive of one image."""
    names = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": ["x:1"], "Layers": names}]
    files = [member("manifest.json", json.dumps(manifest).encode())]
    files.append(member("config.json", json.dumps({"config": dict(config or {})}).encode()))
    files += [member(name, _tar(layer)) for name, layer in zip(names, layers, strict=True)]
    path.write_bytes(_tar(files))
    return path


def _tar(members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()
