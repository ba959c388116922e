"""The files in which Kubernetes modules remember what an API server serves, shared by all runs of this operator.

Every run sees the API server at the proxy's address, so one file serves all of them. ``manager`` removes what lies
there before the first run (it may be of another cluster, or of somebody who guessed the name) and once more at the end.
Names: ``kubernetes.dynamic.discovery`` and ``module_utils/client/discovery.py`` of the collection kubernetes.core.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def remove(server: str) -> None:
    """Remove the files that runs leave whose kubeconfig names this server. Those of others stay."""
    for path in paths(server):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def paths(server: str) -> Iterator[Path]:
    """Return the files of runs that see the API server at this address."""
    directory = Path(tempfile.gettempdir())
    yield directory / f"osrcp-{hashlib.md5(server.encode(), usedforsecurity=False).hexdigest()}.json"
    for identity in (server, *(f"{server}-{user}" for user in _users())):
        yield directory / f"k8srcp-{hashlib.sha256(identity.encode()).hexdigest()}.json"


def _users() -> Iterator[str]:
    """Return what a run may take for its user's name: which one depends on its terminal; for root, none."""
    with contextlib.suppress(OSError):  # a process without a terminal has no login name
        yield os.getlogin()
    yield str(os.getuid())
    yield os.environ.get("USERNAME", "")
