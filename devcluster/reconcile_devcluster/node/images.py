"""Give images to the node's containerd, which has no registry to pull from.

Called by `cli` (`load`), by tests, and by `node` (the pause image).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from reconcile_devcluster.errors import DevclusterError
from reconcile_devcluster.progress import Progress, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconcile_devcluster.node.files import NodeFiles

_NAMESPACE = "k8s.io"
"""containerd's namespace in which the kubelet looks for images."""

_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
"""Where an OCI archive's index names its images; containerd asks in this order."""


@dataclass(frozen=True, slots=True)
class ImageStore:
    """A program that keeps images on this machine.

    Attributes:
        program: Its name.
        find: Arguments that succeed for an image it has; the image's name is added.
        save: Arguments that write an image as a docker-archive; `{image}` and `{archive}` are replaced.

    """

    program: str
    find: tuple[str, ...]
    save: tuple[str, ...]


STORES = (
    ImageStore("docker", ("image", "inspect"), ("save", "--output={archive}", "{image}")),
    ImageStore("podman", ("image", "exists"), ("save", "--format=docker-archive", "--output={archive}", "{image}")),
    ImageStore("buildah", ("inspect", "--type=image"), ("push", "{image}", "docker-archive:{archive}:{image}")),
)
"""The programs that are asked for an image, in this order."""


def load(files: NodeFiles, ctr: Path, image: str, stores: Sequence[ImageStore] = STORES) -> list[str]:
    """Give an image to the node.

    Args:
        files: The node.
        ctr: containerd's client.
        image: Path of a docker-archive or oci-archive, or else the name of an image in one of the stores.
        stores: Programs to ask for a name.

    Returns:
        The full names by which Pods may ask for what was loaded.

    Raises:
        DevclusterError: There is no such image, it has no name, containerd refused it, or no node runs.

    """
    files.read_pid()
    if Path(image).is_file():
        return import_archive(files, ctr, Path(image))
    with tempfile.TemporaryDirectory(prefix="devcluster-") as directory:
        archive = Path(directory, "image.tar")
        _save(image, archive, stores)
        return import_archive(files, ctr, archive)


def import_archive(files: NodeFiles, ctr: Path, archive: Path) -> list[str]:
    """Import an archive of images (docker-archive or oci-archive).

    Returns:
        The full names of its images.

    Raises:
        DevclusterError: It is no such archive, an image has no name, or containerd refused it.

    """
    names = image_names(archive)
    with Progress(f"loading {', '.join(names)}"):
        _ctr(files, ctr, archive, "import", str(archive))
        for name in names:
            if full_name(name) != name:
                # containerd keeps the names of an OCI archive as they are, the kubelet asks for full ones.
                _ctr(files, ctr, archive, "tag", "--force", name, full_name(name))
    return [full_name(name) for name in names]


def image_names(archive: Path) -> list[str]:
    """Return the names of the images in an archive, as containerd will call them.

    Raises:
        DevclusterError: It is no archive of images, or one of them has no name.

    """
    try:
        with tarfile.open(archive) as tar:
            members = set(tar.getnames())
            if "manifest.json" in members:
                # containerd gives the images of a docker-archive their full names.
                names = [
                    full_name(name) for one in _read_json(tar, "manifest.json") for name in one["RepoTags"] or [""]
                ]
            else:
                names = [_annotated_name(one) for one in _read_json(tar, "index.json")["manifests"]]
    except (OSError, tarfile.TarError, KeyError, TypeError, ValueError) as error:
        raise DevclusterError(f"{archive}: neither a docker-archive nor an oci-archive") from error
    nameless = [name for name in names if not any(mark in name for mark in "/:@")]
    if nameless or not names:
        found = f"found {nameless[0]!r}" if nameless and nameless[0] else "found none"
        raise DevclusterError(f"{archive}: an image needs a name such as localhost/foo-operator:dev, {found}")
    return names


def full_name(name: str) -> str:
    """Return an image's name with registry and tag, as the kubelet asks for it.

    The rules are Docker's: `foo` means `docker.io/library/foo:latest`.
    """
    if not name:
        return name
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif first != "localhost" and not any(mark in first for mark in ".:"):
        name = f"docker.io/{name}"
    return name if any(mark in name.rsplit("/", 1)[-1] for mark in ":@") else f"{name}:latest"


def _save(image: str, archive: Path, stores: Sequence[ImageStore]) -> None:
    """Write an image of the first store that has it to an archive."""
    present = [store for store in stores if shutil.which(store.program) is not None]
    for store in present:
        if _run([store.program, *store.find, image]).returncode != 0:
            continue
        say(f"{image} is taken from {store.program}")
        arguments = [argument.format(image=image, archive=archive) for argument in store.save]
        with Progress(f"saving {image}"):
            answer = _run([store.program, *arguments])
        if answer.returncode != 0:
            raise DevclusterError(f"{image}: {store.program} cannot save it: {answer.stderr.strip()}")
        return
    asked = ", ".join(store.program for store in present) or "none is installed"
    raise DevclusterError(f"{image}: neither a file nor an image of docker, podman or buildah (asked: {asked})")


def _annotated_name(manifest: dict[str, dict[str, str]]) -> str:
    annotations = manifest.get("annotations") or {}
    return next((annotations[key] for key in _NAME_ANNOTATIONS if key in annotations), "")


def _read_json(tar: tarfile.TarFile, name: str):  # type: ignore[no-untyped-def]
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is no file")
    return json.load(file)


def _ctr(files: NodeFiles, ctr: Path, archive: Path, *arguments: str) -> None:
    command = [str(ctr), f"--address={files.containerd_socket}", f"--namespace={_NAMESPACE}", "images", *arguments]
    answer = _run(command)
    if answer.returncode != 0:
        raise DevclusterError(f"{archive}: containerd does not take it: {answer.stderr.strip()}")


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
