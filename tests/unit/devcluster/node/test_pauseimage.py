from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster.node import pauseimage
from reconcile_devcluster.node.images import image_names

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"the program")
    return path


def test_the_image_holds_the_program_and_nothing_else(program: Path, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    pauseimage.write_archive(program, archive)
    with tarfile.open(archive) as image:
        (manifest,) = json.load(image.extractfile("manifest.json") or io.BytesIO())
        config = json.load(image.extractfile(manifest["Config"]) or io.BytesIO())
        layer = (image.extractfile(manifest["Layers"][0]) or io.BytesIO()).read()
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert config["config"]["Entrypoint"] == ["/pause"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as files:
        (member,) = files.getmembers()
        assert (member.name, member.mode) == ("pause", 0o755)
        assert (files.extractfile(member) or io.BytesIO()).read() == b"the program"


def test_the_image_runs_as_nobody_in_particular(program: Path, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    pauseimage.write_archive(program, archive)
    assert b'"User": "65535:65535"' in archive.read_bytes()


def test_the_same_program_gives_the_same_image(program: Path, tmp_path: Path) -> None:
    pauseimage.write_archive(program, tmp_path / "one.tar")
    pauseimage.write_archive(program, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_it_answers_to_the_well_known_name_too(program: Path, tmp_path: Path) -> None:
    pauseimage.write_archive(program, tmp_path / "image.tar")
    assert image_names(tmp_path / "image.tar") == [pauseimage.PAUSE_IMAGE, pauseimage.WELL_KNOWN_NAME]
