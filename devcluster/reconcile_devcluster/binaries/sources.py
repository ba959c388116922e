"""Sources of binaries, asked in turn: KUBEBUILDER_ASSETS, PATH, cache, published archive, a build.

Standard library only: binaries can be got before anything is installed. The order is written once, in
`default_sources`.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from reconcile_devcluster.binaries import archive, cache, gobuild, pins, programs
from reconcile_devcluster.errors import BinariesUnavailableError
from reconcile_devcluster.progress import say

if TYPE_CHECKING:
    from collections.abc import Sequence

Found = dict[str, Path]
"""Program name to absolute path."""


class Source(Protocol):
    """A place binaries can come from."""

    def find(self, names: Sequence[str]) -> Found:
        """Paths of all programs asked for.

        Raises:
            BinariesUnavailableError: Not all are there; the message says why, and the next source is asked.

        """


@dataclass(frozen=True, slots=True)
class AssetsVariable:
    """The directory in `KUBEBUILDER_ASSETS`, the variable that envtest reads too."""

    def find(self, names: Sequence[str]) -> Found:
        """See `Source.find`."""
        directory = os.environ.get("KUBEBUILDER_ASSETS", "")
        if not directory:
            raise BinariesUnavailableError("KUBEBUILDER_ASSETS is not set")
        return _complete(f"KUBEBUILDER_ASSETS ({directory})", names, directory)


@dataclass(frozen=True, slots=True)
class SearchPath:
    """The directories in `PATH`."""

    def find(self, names: Sequence[str]) -> Found:
        """See `Source.find`."""
        return _complete("PATH", names, os.environ.get("PATH", os.defpath))


@dataclass(frozen=True, slots=True)
class Cache:
    """What an earlier build or download left in the cache.

    Attributes:
        published: The archive whose content may be there, if one is known for this platform.

    """

    published: pins.Archive | None

    def find(self, names: Sequence[str]) -> Found:
        """See `Source.find`."""
        built = {name: gobuild.cached_path(pins.GO_PROGRAMS[name]) for name in names}
        candidates = [built]
        if self.published is not None:
            candidates.append({name: archive.cache_entry(self.published) / name for name in names})
        for candidate in candidates:
            if all(path.is_file() for path in candidate.values()):
                return candidate
        raise BinariesUnavailableError(f"the cache ({cache.cache_root()}) does not hold {_listed(names)}")


@dataclass(frozen=True, slots=True)
class PublishedArchive:
    """The envtest archive of controller-tools.

    Attributes:
        published: The archive for this platform; None where the index has none.

    """

    published: pins.Archive | None

    def find(self, names: Sequence[str]) -> Found:
        """See `Source.find`."""
        if self.published is None:
            raise BinariesUnavailableError(f"no envtest archive is known for {pins.platform_name()}")
        if programs.CONTROLLER_MANAGER in names:
            raise BinariesUnavailableError(f"the envtest archive holds no {programs.CONTROLLER_MANAGER}")
        return archive.fetch(self.published, names)


@dataclass(frozen=True, slots=True)
class GoBuild:
    """A build from Go modules."""

    def find(self, names: Sequence[str]) -> Found:
        """See `Source.find`."""
        return gobuild.build([pins.GO_PROGRAMS[name] for name in names])


def find(names: Sequence[str], sources: Sequence[Source]) -> Found:
    """Ask sources in order until one has all programs; each answer is printed.

    Raises:
        BinariesUnavailableError: None has; the message lists what each said.

    """
    refusals: list[str] = []
    for source in sources:
        try:
            found = source.find(names)
        except BinariesUnavailableError as error:
            say(str(error))
            refusals.append(str(error))
            continue
        for name, path in found.items():
            say(f"{name}: {path}")
        return found
    raise BinariesUnavailableError("\n  ".join([f"no source has {_listed(names)}:", *refusals]))


def default_sources() -> list[Source]:
    """Return the sources in the order they are asked."""
    return [*local_sources(), PublishedArchive(pins.ENVTEST_ARCHIVES.get(pins.platform_name())), GoBuild()]


def local_sources() -> list[Source]:
    """Return the sources that answer at once: they download and build nothing."""
    return [AssetsVariable(), SearchPath(), Cache(pins.ENVTEST_ARCHIVES.get(pins.platform_name()))]


def _complete(place: str, names: Sequence[str], search_path: str) -> Found:
    found = {name: shutil.which(name, path=search_path) for name in names}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise BinariesUnavailableError(f"{place} has no {_listed(missing)}")
    return {name: Path(path).resolve() for name, path in found.items() if path is not None}


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)
