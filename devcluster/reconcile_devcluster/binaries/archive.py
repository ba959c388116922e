"""Download the published envtest archive: at most 10 s, and nothing is used whose digest is not the pinned one.

One of `finder`'s sources; the addresses and digests are in `pins`.
"""

from __future__ import annotations

import hashlib
import http.client
import tarfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconcile_devcluster.binaries import cache
from reconcile_devcluster.errors import BinariesUnavailableError
from reconcile_devcluster.progress import Progress, say

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reconcile_devcluster.binaries.pins import Archive

DEADLINE = 10.0
"""Seconds the whole download may take: name lookup, redirects and all; a build is the better choice after that."""

_CHUNK = 1 << 16
"""Bytes read at once."""

_MEGABYTE = 1_000_000


def cache_entry(published: Archive) -> Path:
    """Directory in the cache that holds the content of an archive. A new digest is a new entry."""
    return cache.cache_root() / f"{published.name}-{published.sha512[:16]}"


def fetch(published: Archive, names: Sequence[str], deadline: float = DEADLINE) -> dict[str, Path]:
    """Download an archive, verify it, and keep the programs asked for in the cache.

    Args:
        published: Address and digest.
        names: File names of programs in it.
        deadline: Seconds for the download.

    Returns:
        Program name to path in the cache.

    Raises:
        BinariesUnavailableError: It could not be had in time, its digest is another one, or a program is not in it.

    """
    entry = cache_entry(published)
    paths = {name: entry / name for name in names}
    with cache.exclusive(entry):
        if all(path.is_file() for path in paths.values()):
            return paths
        say(f"downloading {published.url} (for {deadline:.0f} s at most)")
        with cache.new_file(entry / "archive.tar.gz") as downloaded:
            _download(published, downloaded, deadline)
            _verify(published, downloaded)
            _extract(published, downloaded, paths)
        (entry / "archive.tar.gz").unlink()
    return paths


@dataclass(slots=True)
class _Download:
    """A download in a thread of its own, because a name lookup obeys no timeout: the thread is left behind instead."""

    url: str
    target: Path
    ends_at: float
    received: int = 0
    error: Exception | None = None
    abandoned: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        try:
            # The scheme is that of a pinned address; tests use plain HTTP to the loopback interface.
            request = urllib.request.Request(self.url, headers={"User-Agent": "devcluster"})  # noqa: S310
            with urllib.request.urlopen(request, timeout=self._left()) as answer:  # noqa: S310
                if self.abandoned.is_set():
                    return
                self._receive(answer)
        except urllib.error.HTTPError as error:
            error.close()
            self.error = error
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.error = error

    def _receive(self, answer: http.client.HTTPResponse) -> None:
        with self.target.open("wb") as file:
            while not self.abandoned.is_set() and (chunk := answer.read1(_CHUNK)):
                file.write(chunk)
                self.received += len(chunk)

    def _left(self) -> float:
        return max(0.1, self.ends_at - time.monotonic())


def _download(published: Archive, target: Path, deadline: float) -> None:
    ends_at = time.monotonic() + deadline
    download = _Download(published.url, target, ends_at)
    thread = threading.Thread(target=download.run, name="envtest download", daemon=True)
    with Progress("downloading") as progress:
        thread.start()
        while thread.is_alive() and time.monotonic() < ends_at:
            thread.join(min(0.5, max(0.0, ends_at - time.monotonic())))
            progress.update(f"{download.received / _MEGABYTE:.0f} MB")
    if thread.is_alive():
        download.abandoned.set()
        raise BinariesUnavailableError(f"the envtest archive was not here within {deadline:.0f} s ({published.url})")
    if download.error is not None:
        raise BinariesUnavailableError(f"the envtest archive cannot be downloaded ({published.url}): {download.error}")


def _verify(published: Archive, downloaded: Path) -> None:
    with downloaded.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").hexdigest()
    if digest != published.sha512:
        raise BinariesUnavailableError(
            f"the envtest archive is not the pinned one ({published.url}): "
            f"found SHA-512 {digest[:16]}…, expected {published.sha512[:16]}…"
        )


def _extract(published: Archive, downloaded: Path, paths: dict[str, Path]) -> None:
    """Copy the wanted programs out of the archive; names and modes in it decide nothing else."""
    with tarfile.open(downloaded) as content:
        members = {member.name.rsplit("/", 1)[-1]: member for member in content.getmembers() if member.isfile()}
        missing = paths.keys() - members.keys()
        if missing:
            raise BinariesUnavailableError(
                f"the envtest archive ({published.url}) holds no {', '.join(sorted(missing))}"
            )
        for name, path in paths.items():
            source = content.extractfile(members[name])
            if source is None:
                raise BinariesUnavailableError(f"the envtest archive ({published.url}): {name} cannot be read")
            with cache.new_file(path) as temporary, temporary.open("wb") as target:
                while chunk := source.read(_CHUNK):
                    target.write(chunk)
