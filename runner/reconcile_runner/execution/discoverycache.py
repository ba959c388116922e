"""The files in which Ansible's Kubernetes modules keep what an API server serves, in the ``TMPDIR`` of their run.

With them a run of two modules costs a tenth less, but nobody asks again: after a CRD is made again with another scope,
runs look in the wrong place until the files are gone. So ``launcher`` removes them before a run, unless the same kinds
are served as before the last one. ``tempdir`` keeps them after a run.

Imports nothing but the standard library, as ``launcher`` needs it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

PREFIXES: Final = ("k8srcp-", "osrcp-")
"""How their names begin: those of ``kubernetes.core`` (``client/discovery.py``) and of the Python client
(``kubernetes.dynamic.discovery``)."""


def names(url: str) -> frozenset[str]:
    """Return the names of the files about the API server at an address, as both make them of it.

    ``kubernetes.core`` adds the user's name, in one of several ways; for root in a container it finds none.
    """
    users = [str(os.getuid()), os.environ.get("USERNAME", "")]
    with contextlib.suppress(OSError):
        users.append(os.getlogin())
    digests = {hashlib.sha256(each.encode()).hexdigest() for each in (url, *(f"{url}-{user}" for user in users))}
    alone = hashlib.md5(url.encode(), usedforsecurity=False).hexdigest()
    return frozenset({*(f"k8srcp-{digest}.json" for digest in digests), f"osrcp-{alone}.json"})


def remove(directory: str, but: Collection[str] = ()) -> None:
    """Remove such files from a directory, but for those of the names given."""
    with contextlib.suppress(OSError):
        for path in Path(directory).iterdir():
            if path.name.startswith(PREFIXES) and path.name not in but:
                path.unlink(missing_ok=True)
