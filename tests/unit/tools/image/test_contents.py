from __future__ import annotations

import json
from pathlib import Path

from tests.unit.tools.image.dockerarchive import member, write
from tools.image.archive import ImageArchive
from tools.image.contents import Ecosystem, Package, packages

STATUS = """Package: tini
Status: install ok installed
Version: 0.19.0-3
Description: a tiny init
 for containers

Package: gone
Status: deinstall ok config-files
Version: 1
"""


def test_packages_of_all_kinds_are_found(tmp_path: Path) -> None:
    manifest = {"collection_info": {"namespace": "kubernetes", "name": "core", "version": "6.6.0"}}
    layer = [
        member("var/lib/dpkg/status", STATUS.encode()),
        member("opt/venv/x-1.dist-info/METADATA", b"Name: x\nVersion: 1\nLicense-Expression: MIT\n\nText"),
        member(
            "usr/share/ansible/collections/ansible_collections/kubernetes/core/MANIFEST.json",
            json.dumps(manifest).encode(),
        ),
    ]
    assert packages(ImageArchive.open(write(tmp_path / "a.tar", [layer]))) == [
        Package(Ecosystem.DEBIAN, "tini", "0.19.0-3"),
        Package(Ecosystem.ANSIBLE, "kubernetes.core", "6.6.0"),
        Package(Ecosystem.PYTHON, "x", "1", "MIT"),
    ]


def test_an_image_without_packages_has_none(tmp_path: Path) -> None:
    assert packages(ImageArchive.open(write(tmp_path / "a.tar", [[member("x")]]))) == []
