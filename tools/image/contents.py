"""Which packages are in an image, by what their installers left there. `report` and `sbom` say it to people."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import Parser
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tools.image.archive import ImageArchive

_DPKG_STATUS: Final = "var/lib/dpkg/status"


class Ecosystem(enum.StrEnum):
    """Where a package comes from; the value is the type in its package URL."""

    DEBIAN = "deb"
    PYTHON = "pypi"
    ANSIBLE = "generic"


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """An installed package; ``licence`` is an SPDX expression, or empty where the package states none."""

    ecosystem: Ecosystem
    name: str
    version: str
    licence: str = ""


def packages(image: ImageArchive) -> list[Package]:
    """Return all packages of an image, sorted."""
    return sorted([*_debian(image), *_python(image), *_collections(image)])


def _debian(image: ImageArchive) -> Iterator[Package]:
    if _DPKG_STATUS not in image.files:
        return
    for paragraph in image.read([_DPKG_STATUS])[_DPKG_STATUS].decode().split("\n\n"):
        fields = Parser().parsestr(paragraph, headersonly=True)
        if fields["Status"] == "install ok installed":
            yield Package(Ecosystem.DEBIAN, fields["Package"], fields["Version"])


def _python(image: ImageArchive) -> Iterator[Package]:
    metadata = [path for path in image.files if path.endswith(".dist-info/METADATA")]
    for content in image.read(metadata).values():
        fields = Parser().parsestr(content.decode(), headersonly=True)
        yield Package(Ecosystem.PYTHON, fields["Name"], fields["Version"], fields["License-Expression"] or "")


def _collections(image: ImageArchive) -> Iterator[Package]:
    below = [path for path in image.files if path.startswith("usr/share/ansible/collections/")]
    for content in image.read(path for path in below if path.endswith("/MANIFEST.json")).values():
        info = json.loads(content)["collection_info"]
        yield Package(Ecosystem.ANSIBLE, f"{info['namespace']}.{info['name']}", info["version"])
