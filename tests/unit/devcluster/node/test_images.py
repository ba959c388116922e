from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster.errors import DevclusterError
from reconcile_devcluster.node import images
from reconcile_devcluster.process import ProcessIdentity

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconcile_devcluster.node.files import NodeFiles


def write_tar(path: Path, **members: object) -> Path:
    """Write an archive of JSON files; their names are given without `.json`."""
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            text = json.dumps(content).encode()
            member = tarfile.TarInfo(f"{name}.json")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    return path


def docker_archive(path: Path, *names: str) -> Path:
    return write_tar(path, manifest=[{"RepoTags": list(names) or None}])


def oci_archive(path: Path, **annotations: str) -> Path:
    return write_tar(path, index={"manifests": [{"annotations": annotations}]})


@pytest.fixture
def running(files: NodeFiles) -> NodeFiles:
    """Files of a node that seems to run."""
    files.save_process_1(ProcessIdentity.of(os.getpid()))
    return files


@pytest.fixture
def ctr(tmp_path: Path, make_program: Callable[[Path, str], Path]) -> Path:
    """Write a client of containerd that notes what it is told."""
    return make_program(tmp_path / "ctr", f'shift 3; echo "$@" >> {tmp_path}/told')


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("foo", "docker.io/library/foo:latest"),
        ("foo:1", "docker.io/library/foo:1"),
        ("me/foo:1", "docker.io/me/foo:1"),
        ("localhost/foo", "localhost/foo:latest"),
        ("localhost:5000/foo:1", "localhost:5000/foo:1"),
        ("registry.k8s.io/pause:3.10.1", "registry.k8s.io/pause:3.10.1"),
        ("quay.io/foo@sha256:00", "quay.io/foo@sha256:00"),
    ],
)
def test_names_are_completed_as_docker_does(name: str, expected: str) -> None:
    assert images.full_name(name) == expected


def test_a_docker_archive_gives_its_images_full_names(tmp_path: Path) -> None:
    archive = docker_archive(tmp_path / "image.tar", "foo:1", "localhost/bar:2")
    assert images.image_names(archive) == ["docker.io/library/foo:1", "localhost/bar:2"]


def test_containerds_own_annotation_of_an_oci_archive_comes_first(tmp_path: Path) -> None:
    annotations = {"org.opencontainers.image.ref.name": "1", "io.containerd.image.name": "localhost/foo:1"}
    assert images.image_names(oci_archive(tmp_path / "image.tar", **annotations)) == ["localhost/foo:1"]


@pytest.mark.parametrize("kind", ["docker", "oci", "oci-tag"])
def test_an_image_without_a_name_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    if kind == "docker":
        docker_archive(path)
    else:
        oci_archive(path, **({"org.opencontainers.image.ref.name": "dev"} if kind == "oci-tag" else {}))
    expected = "found 'dev'" if kind == "oci-tag" else "found none"
    with pytest.raises(DevclusterError, match=rf"image\.tar: an image needs a name such as .*, {expected}"):
        images.image_names(path)


def test_what_is_no_archive_of_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no archive")
    for path in (tmp_path / "text", write_tar(tmp_path / "other.tar", other=1)):
        with pytest.raises(DevclusterError, match=r"neither a docker-archive nor an oci-archive$"):
            images.image_names(path)


def test_an_archive_is_imported_and_its_names_returned(running: NodeFiles, ctr: Path, tmp_path: Path) -> None:
    archive = docker_archive(tmp_path / "image.tar", "localhost/foo:dev")
    assert images.load(running, ctr, str(archive)) == ["localhost/foo:dev"]
    assert (tmp_path / "told").read_text() == f"import {archive}\n"


def test_short_names_of_an_oci_archive_are_completed(running: NodeFiles, ctr: Path, tmp_path: Path) -> None:
    archive = oci_archive(tmp_path / "image.tar", **{"io.containerd.image.name": "me/foo:1"})
    assert images.load(running, ctr, str(archive)) == ["docker.io/me/foo:1"]
    assert (tmp_path / "told").read_text().splitlines()[1] == "tag --force me/foo:1 docker.io/me/foo:1"


def test_what_containerd_refuses_is_told(
    running: NodeFiles, tmp_path: Path, make_program: Callable[[Path, str], Path]
) -> None:
    ctr = make_program(tmp_path / "ctr", "echo 'no space left' >&2; exit 1")
    with pytest.raises(DevclusterError, match=r"image\.tar: containerd does not take it: no space left"):
        images.load(running, ctr, str(docker_archive(tmp_path / "image.tar", "localhost/foo:dev")))


def test_an_image_is_taken_from_the_first_store_that_has_it(
    running: NodeFiles,
    ctr: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_program: Callable[[Path, str], Path],
) -> None:
    saved = docker_archive(tmp_path / "saved.tar", "localhost/foo:dev")
    copy = f"{sys.executable} -c 'import shutil, sys; shutil.copy(*sys.argv[1:])' {saved}"
    make_program(tmp_path / "bin" / "docker", "exit 1")
    make_program(tmp_path / "bin" / "buildah", f'test $1 = inspect || {copy} "${{3#docker-archive:}}"')
    # As buildah is told the name behind the archive's path, the copy is put where the path ends.
    stores = [
        images.ImageStore("docker", ("image", "inspect"), ("save",)),
        images.ImageStore("buildah", ("inspect",), ("push", "{image}", "docker-archive:{archive}")),
    ]
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    assert images.load(running, ctr, "localhost/foo:dev", stores) == ["localhost/foo:dev"]


def test_an_image_that_is_nowhere_is_refused(
    running: NodeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_program: Callable[[Path, str], Path]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DevclusterError, match=r"nothing:1: neither a file nor an image .*asked: none is installed"):
        images.load(running, Path("/ctr"), "nothing:1")
    make_program(tmp_path / "podman", "exit 1")
    with pytest.raises(DevclusterError, match=r"\(asked: podman\)"):
        images.load(running, Path("/ctr"), "nothing:1")


def test_without_a_node_nothing_is_loaded(files: NodeFiles) -> None:
    with pytest.raises(DevclusterError, match="no node runs in"):
        images.load(files, Path("/ctr"), "localhost/foo:dev")
