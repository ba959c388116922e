"""What the built packages hold. That they work when installed is tests/integration/test_installed.py's question."""

from __future__ import annotations

import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
from packaging.metadata import Metadata

from reconcile_runner import __version__
from tests.support.packages import PROJECTS, build
from tests.support.paths import REPOSITORY

COLLECTIONS = "reconcile_runner/collections"


@dataclass(frozen=True)
class Built:
    """A project's packages: its wheel, its sdist, and the wheel that is built of the unpacked sdist."""

    name: str
    wheel: Path
    sdist: Path
    rebuilt: Path

    def files(self) -> dict[str, bytes]:
        with zipfile.ZipFile(self.wheel) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def info(self, name: str) -> bytes:
        return self.files()[f"{self.name}-{__version__}.dist-info/{name}"]


@pytest.fixture(scope="module", params=sorted(PROJECTS))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    name: str = request.param
    directory = tmp_path_factory.mktemp(name)
    wheel = build(PROJECTS[name], "wheel", directory / "wheel")
    sdist = build(PROJECTS[name], "sdist", directory / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extraction_filter = lambda member, _directory: member  # `filter` came with Python 3.11.4
        archive.extractall(directory)  # noqa: S202 - made here
    rebuilt = build(directory / f"{name}-{__version__}", "wheel", directory / "rebuilt")
    return Built(name, wheel, sdist, rebuilt)


def test_a_wheel_is_the_same_bytes_from_the_checkout_and_from_the_sdist(built: Built) -> None:
    assert built.wheel.name == built.rebuilt.name
    assert built.wheel.read_bytes() == built.rebuilt.read_bytes()


def test_a_wheel_holds_its_package_and_nothing_else(built: Built) -> None:
    package = "reconcile_runner" if built.name == "ansible_reconcile_runner" else built.name
    names = set(built.files())
    assert {PurePosixPath(name).parts[0] for name in names} == {package, f"{built.name}-{__version__}.dist-info"}
    assert f"{package}/py.typed" in names
    assert not [name for name in names if {"tests", "__pycache__"} & set(PurePosixPath(name).parts)]


def test_a_wheel_says_under_which_licence_it_is(built: Built) -> None:
    project = PROJECTS[built.name]
    assert built.info("licenses/LICENSE") == (project / "LICENSE").read_bytes()
    assert built.info("licenses/NOTICE") == (project / "NOTICE").read_bytes()
    assert (project / "LICENSE").read_bytes() == (REPOSITORY / "LICENSE").read_bytes()


def test_the_metadata_is_what_an_index_accepts(built: Built) -> None:
    metadata = Metadata.from_email(built.info("METADATA"), validate=True)
    assert (metadata.name.replace("-", "_"), str(metadata.version)) == (built.name, __version__)
    assert metadata.license_expression == "Apache-2.0"
    assert metadata.description_content_type == "text/markdown"
    assert metadata.summary
    assert metadata.project_urls
    assert str(metadata.requires_python) == ">=3.11"


def test_an_sdist_holds_no_links(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        assert not [member.name for member in archive if not (member.isfile() or member.isdir())]


@pytest.mark.parametrize("built", ["ansible_reconcile_runner"], indirect=True)
def test_the_runners_wheel_holds_the_collections_as_files(built: Built) -> None:
    files = built.files()
    inside = {name: content for name, content in files.items() if name.startswith(f"{COLLECTIONS}/")}
    source = REPOSITORY / "collections"
    wanted = {
        f"{COLLECTIONS}/{path.relative_to(source)}": path.read_bytes()
        for path in source.rglob("*")
        if path.is_file() and not {"tests", "__pycache__"} & set(path.relative_to(source).parts)
    }
    assert inside == wanted
    assert f"{COLLECTIONS}/ansible_collections/reconcile_runner/util/plugins/modules/k8s_status.py" in inside


@pytest.mark.parametrize("built", ["ansible_reconcile_runner"], indirect=True)
def test_the_extra_asks_for_the_other_distribution(built: Built) -> None:
    metadata = Metadata.from_email(built.info("METADATA"), validate=True)
    assert metadata.provides_extra == ["devcluster"]
    [asked] = [one for one in metadata.requires_dist or [] if one.marker and "extra" in str(one.marker)]
    assert asked.name.replace("-", "_") in PROJECTS


@pytest.mark.parametrize("built", ["reconcile_devcluster"], indirect=True)
def test_the_development_cluster_asks_for_neither_the_runner_nor_ansible(built: Built) -> None:
    metadata = Metadata.from_email(built.info("METADATA"), validate=True)
    asked = {one.name for one in metadata.requires_dist or []}
    assert not {name for name in asked if "ansible" in name or "runner" in name}
