"""The files in which a role's modules keep what the proxy's API server serves, so that they ask once for all runs.

They are named after the proxy's address. ``server`` removes them at its start, because the port may have been that of
another cluster's proxy before, and at its end, because nobody else would (upstream leaves one for each object).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path


def remove_discovery_files(server: str) -> None:
    """Remove what modules of this user kept about the API server at a URL."""
    for name in _names(server):
        with contextlib.suppress(OSError):
            (Path(tempfile.gettempdir()) / name).unlink()


def _names(server: str) -> Iterator[str]:
    """Yield file names as kubernetes.core (``client/discovery.py``) and the Python client (``dynamic``) make them."""
    for identity in (server, *(f"{server}-{user}" for user in _users())):
        yield f"k8srcp-{hashlib.sha256(identity.encode()).hexdigest()}.json"
    yield f"osrcp-{hashlib.md5(server.encode(), usedforsecurity=False).hexdigest()}.json"


def _users() -> set[str]:
    """Return what a module may take for the user's name, if for any: it depends on the terminal that it has."""
    users = {str(os.getuid()), os.environ.get("USERNAME", "")}
    with contextlib.suppress(OSError):
        users.add(os.getlogin())
    with contextlib.suppress(KeyError):
        users.add(pwd.getpwuid(os.getuid()).pw_name)
    return users
