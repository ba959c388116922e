"""Prints a saved image's packages as a bill of materials in CycloneDX's form: `python -m tools.image.sbom ARCHIVE`.

Run by `report` in the environment of requirements/report.txt, where CycloneDX's own library is.
"""

from __future__ import annotations

import sys
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from tools.image.archive import ImageArchive
from tools.image.contents import Ecosystem, Package, packages


def bill_of_materials(image: ImageArchive) -> str:
    """Return the bill as JSON."""
    labels = image.config.labels
    title = labels.get("org.opencontainers.image.title", image.path.name)
    version = labels.get("org.opencontainers.image.version", "")
    components = [_component(package) for package in packages(image)]
    root = Component(type=ComponentType.CONTAINER, name=title, version=version)
    bom = Bom(components=components)
    bom.metadata.component = root
    bom.register_dependency(root, components)
    return str(JsonV1Dot6(bom).output_as_string(indent=2))


def _component(package: Package) -> Component:
    namespace = "debian" if package.ecosystem is Ecosystem.DEBIAN else None
    purl = PackageURL(package.ecosystem.value, namespace, package.name, package.version)
    licences = [LicenseFactory().make_from_string(package.licence)] if package.licence else []
    return Component(
        type=ComponentType.LIBRARY,
        name=package.name,
        version=package.version,
        purl=purl,
        licenses=licences,
        bom_ref=purl.to_string(),
    )


if __name__ == "__main__":
    sys.stdout.write(bill_of_materials(ImageArchive.open(Path(sys.argv[1]))) + "\n")
