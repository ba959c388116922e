from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests.unit.tools.image.dockerarchive import directory, member, write
from tools.image.archive import ImageArchive, Kind


def test_a_later_layer_wins(tmp_path: Path) -> None:
    layers = [[member("etc/x", b"old", 0o4755)], [member("./etc/x", b"new", 0o755)]]
    image = ImageArchive.open(write(tmp_path / "a.tar", layers))
    assert image.files["etc/x"].mode == 0o755
    assert image.files["etc/x"].size == 3
    assert image.read(["etc/x"]) == {"etc/x": b"new"}


def test_what_a_layer_takes_away_is_gone(tmp_path: Path) -> None:
    layers = [
        [directory("a"), member("a/one"), member("a/two"), directory("b"), member("b/deep"), member("bc")],
        [member("a/.wh.one"), member(".wh.b")],
    ]
    image = ImageArchive.open(write(tmp_path / "a.tar", layers))
    assert sorted(image.files) == ["a", "a/two", "bc"]


def test_an_opaque_directory_holds_only_what_its_layer_puts_there(tmp_path: Path) -> None:
    layers = [[directory("a"), member("a/old")], [directory("a"), member("a/new"), member("a/.wh..wh..opq")]]
    image = ImageArchive.open(write(tmp_path / "a.tar", layers))
    assert sorted(image.files) == ["a", "a/new"]


def test_kinds_are_told_apart(tmp_path: Path) -> None:
    layer = [directory("d"), member("f"), member("l", kind=tarfile.SYMTYPE), member("p", kind=tarfile.FIFOTYPE)]
    files = ImageArchive.open(write(tmp_path / "a.tar", [layer])).files
    assert [files[name].kind for name in "dflp"] == [Kind.DIRECTORY, Kind.FILE, Kind.LINK, Kind.OTHER]


def test_the_size_is_that_of_all_layers(tmp_path: Path) -> None:
    image = ImageArchive.open(write(tmp_path / "a.tar", [[member("a", b"x" * 5000)], [member("b", b"x" * 7000)]]))
    assert 12_000 < image.size < 16_384


def test_the_configuration_says_how_containers_start(tmp_path: Path) -> None:
    config = {
        "User": "1001:0",
        "WorkingDir": "/w",
        "Entrypoint": ["/a", "b"],
        "Env": ["HOME=/w", "X=a=b"],
        "Labels": {"l": "1"},
    }
    found = ImageArchive.open(write(tmp_path / "a.tar", [[]], config)).config
    assert (found.user, found.working_directory, found.entrypoint) == ("1001:0", "/w", ("/a", "b"))
    assert found.environment == {"HOME": "/w", "X": "a=b"}
    assert found.labels == {"l": "1"}


def test_an_image_that_configures_nothing_has_defaults(tmp_path: Path) -> None:
    found = ImageArchive.open(write(tmp_path / "a.tar", [[]], {"Entrypoint": None, "Labels": None})).config
    assert (found.user, found.working_directory, found.entrypoint, found.environment) == ("", "/", (), {})


def test_extracting_writes_the_last_version_of_what_is_left(tmp_path: Path) -> None:
    layers = [[member("x", b"old"), member("y", b"old")], [member("x", b"new"), member(".wh.y")]]
    ImageArchive.open(write(tmp_path / "a.tar", layers)).extract(tmp_path / "root")
    assert [(path.name, path.read_bytes()) for path in (tmp_path / "root").iterdir()] == [("x", b"new")]


def test_what_is_no_image_is_said(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "no.tar", "w"):
        pass
    with pytest.raises(ValueError, match=r"found no manifest\.json, expected a docker-archive"):
        ImageArchive.open(tmp_path / "no.tar")
