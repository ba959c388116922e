"""An image as `docker save` writes it (a docker-archive), read without any program that builds or runs images.

`report` and the end-to-end tests look into images this way: the same for every builder, and nothing is mounted.
"""

from __future__ import annotations

import enum
import json
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final, Self, cast

_WHITEOUT: Final = ".wh."
"""Before the name of a file that a layer takes away (image specification of the Open Container Initiative)."""

_OPAQUE: Final = ".wh..wh..opq"
"""In a directory of which a layer takes away everything that was in it."""


class Kind(enum.Enum):
    """What a path is."""

    FILE = enum.auto()
    DIRECTORY = enum.auto()
    LINK = enum.auto()
    OTHER = enum.auto()


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A path of an image: its permission bits (with setuid, setgid and sticky), owner, and bytes of content."""

    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    layer: int


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """What a container of the image starts with."""

    user: str
    working_directory: str
    entrypoint: tuple[str, ...]
    environment: Mapping[str, str]
    labels: Mapping[str, str]


class ImageArchive:
    """One image in a docker-archive.

    Attributes:
        path: The archive.
        config: How its containers start.
        files: Every path in the image, without a slash in front, as its topmost layer has it.
        size: Bytes of all layers, uncompressed.

    """

    def __init__(self, path: Path, layers: tuple[str, ...], config: ImageConfig) -> None:
        self.path = path
        self.config = config
        self._layers = layers
        self.files: dict[str, ImageFile] = {}
        self.size = 0
        for number in range(len(layers)):
            with self._layer(number) as layer:
                self._add(layer, number)
                self.size += layer.offset

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read an archive that holds one image. Raises ``ValueError`` where it holds none, or several."""
        with tarfile.open(path) as archive:
            try:
                manifest = json.load(_content(archive, "manifest.json"))
            except KeyError as error:
                raise ValueError(f"{path}: found no manifest.json, expected a docker-archive") from error
            if len(manifest) != 1:
                raise ValueError(f"{path}: found {len(manifest)} images, expected one")
            config = json.load(_content(archive, manifest[0]["Config"]))["config"]
        return cls(path, tuple(manifest[0]["Layers"]), _config(config))

    def read(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the content of files. Raises ``KeyError`` where there is no such file."""
        content = {}
        wanted = set(names)
        for number in sorted({self.files[name].layer for name in wanted}):
            with self._layer(number) as layer:
                for member in layer:
                    name = _name(member)
                    if name in wanted and self.files[name].layer == number:
                        content[name] = _content(layer, member).read()
        return content

    def extract(self, directory: Path) -> None:
        """Write the whole root file system below a directory, owners and modes included (which needs root)."""
        for number in range(len(self._layers)):
            with self._layer(number) as layer:
                members = [member for member in layer if self._is_of(number, member)]
                # The image was built here, and a root file system has links and devices that other filters refuse.
                # The argument `filter` came with Python 3.11.4; an attribute that is not known does no harm.
                layer.extraction_filter = _as_it_is
                layer.extractall(directory, members, numeric_owner=True)  # noqa: S202

    def _is_of(self, number: int, member: tarfile.TarInfo) -> bool:
        found = self.files.get(_name(member))
        return found is not None and found.layer == number

    @contextmanager
    def _layer(self, number: int) -> Iterator[tarfile.TarFile]:
        with (
            tarfile.open(self.path) as archive,
            tarfile.open(fileobj=_content(archive, self._layers[number])) as layer,
        ):
            yield layer

    def _add(self, layer: tarfile.TarFile, number: int) -> None:
        members = layer.getmembers()
        for member in members:
            self._take_away(PurePosixPath(_name(member)))
        for member in members:
            name = _name(member)
            if name and not PurePosixPath(name).name.startswith(_WHITEOUT):
                mode = stat.S_IMODE(member.mode)
                self.files[name] = ImageFile(_kind(member), mode, member.uid, member.gid, member.size, number)

    def _take_away(self, path: PurePosixPath) -> None:
        if not path.name.startswith(_WHITEOUT):
            return
        gone = path.parent if path.name == _OPAQUE else path.with_name(path.name.removeprefix(_WHITEOUT))
        for name in [name for name in self.files if PurePosixPath(name).is_relative_to(gone)]:
            if path.name != _OPAQUE or name != str(gone):
                del self.files[name]


def _config(content: Mapping[str, object]) -> ImageConfig:
    environment = cast("list[str] | None", content.get("Env")) or []
    return ImageConfig(
        user=str(content.get("User") or ""),
        working_directory=str(content.get("WorkingDir") or "/"),
        entrypoint=tuple(cast("list[str] | None", content.get("Entrypoint")) or ()),
        environment=dict(entry.split("=", 1) for entry in environment),
        labels=cast("dict[str, str] | None", content.get("Labels")) or {},
    )


def _as_it_is(member: tarfile.TarInfo, _directory: str) -> tarfile.TarInfo:
    return member


def _name(member: tarfile.TarInfo) -> str:
    """Return a path without what builders put in front of it; the root is the empty string."""
    return "" if member.name == "." else member.name.removeprefix("./").strip("/")


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo | str) -> IO[bytes]:
    content = archive.extractfile(member)
    if content is None:
        raise KeyError(member)
    return content


def _kind(member: tarfile.TarInfo) -> Kind:
    if member.isfile() or member.islnk():
        return Kind.FILE
    if member.isdir():
        return Kind.DIRECTORY
    return Kind.LINK if member.issym() else Kind.OTHER
