from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.unit.tools.image.dockerarchive import member, write
from tools.image.archive import ImageArchive
from tools.image.sbom import bill_of_materials

STATUS = b"""Package: tini
Status: install ok installed
Version: 0.19.0-3
"""
MANIFEST = b'{"collection_info": {"namespace": "kubernetes", "name": "core", "version": "6.6.0"}}'
LAYER = [
    member("var/lib/dpkg/status", STATUS),
    member("usr/share/ansible/collections/ansible_collections/kubernetes/core/MANIFEST.json", MANIFEST),
    member("opt/venv/x-1.dist-info/METADATA", b"Name: x\nVersion: 1\nLicense-Expression: MIT OR Apache-2.0\n\n"),
    member("opt/venv/y-2.dist-info/METADATA", b"Name: y\nVersion: 2\nLicense: as you like it\n\n"),
    member("opt/venv/z-3.dist-info/METADATA", b"Name: z\nVersion: 3\n\n"),
]
LABELS = {"org.opencontainers.image.title": "foo-operator", "org.opencontainers.image.version": "1.2.3"}


@pytest.fixture
def bill(tmp_path: Path) -> str:
    archive = write(tmp_path / "image.tar", [LAYER], {"Labels": LABELS})
    return bill_of_materials(ImageArchive.open(archive))


def test_the_bill_is_what_its_format_demands(bill: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None


def test_packages_of_all_kinds_have_an_address_that_scanners_know(bill: str) -> None:
    components: list[dict[str, Any]] = json.loads(bill)["components"]
    assert sorted(component["purl"] for component in components) == [
        "pkg:deb/debian/tini@0.19.0-3",
        "pkg:generic/kubernetes.core@6.6.0",
        "pkg:pypi/x@1",
        "pkg:pypi/y@2",
        "pkg:pypi/z@3",
    ]


def test_the_image_itself_is_named_and_holds_them_all(bill: str) -> None:
    content = json.loads(bill)
    root = content["metadata"]["component"]
    assert (root["name"], root["version"], root["type"]) == ("foo-operator", "1.2.3", "container")
    (held,) = [entry["dependsOn"] for entry in content["dependencies"] if entry["ref"] == root["bom-ref"]]
    assert sorted(held) == sorted(component["bom-ref"] for component in content["components"])
