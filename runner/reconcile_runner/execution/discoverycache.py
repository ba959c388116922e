"""The discovery caches of Ansible's Kubernetes modules in ``TMPDIR``.

They save a tenth of a run of two modules, but nothing refreshes them: after a CRD was recreated with another scope,
runs use the wrong paths until the files are removed. So a launcher removes them before a run, unless the same kinds are
served as at the last one.

Imports the standard library only, because a launcher imports it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

PREFIXES: Final = ("k8srcp-", "osrcp-")
"""Of the names of files of ``kubernetes.core`` (``module_utils/client/discovery.py``) and of the Python client
(``kubernetes/dynamic/discovery.py``)."""


def names(url: str) -> frozenset[str]:
    """Return the names of both files about the API server at a URL.

    ``kubernetes.core`` adds the user's name, found in one of several ways; for root in a container it finds none.
    """
    users = [str(os.getuid()), os.environ.get("USERNAME", "")]
    with contextlib.suppress(OSError):
        users.append(os.getlogin())
    digests = {hashlib.sha256(each.encode()).hexdigest() for each in (url, *(f"{url}-{user}" for user in users))}
    alone = hashlib.md5(url.encode(), usedforsecurity=False).hexdigest()
    return frozenset({*(f"k8srcp-{digest}.json" for digest in digests), f"osrcp-{alone}.json"})


def remove(directory: str, but: Collection[str] = ()) -> None:
    """Remove such files from a directory, except those named in ``but``."""
    with contextlib.suppress(OSError):
        for path in Path(directory).iterdir():
            if path.name.startswith(PREFIXES) and path.name not in but:
                path.unlink(missing_ok=True)
