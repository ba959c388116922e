"""How long the client waits for the API server: one table."""

from __future__ import annotations

from dataclasses import dataclass

from reconcile_runner.client.api import STALL_TIMEOUT


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds that each kind of call may take. No call is without one.

    - ``connect``: TCP and TLS together, of every call
    - ``request``: a whole request of the operator's own
    - ``forward``: a whole request of a run that is no stream; kube-apiserver itself ends those after 60 s
    - ``upgrade``: from the connection to the answer to an upgrade (WebSocket, SPDY)
    - ``silence``: between two events of a watch, bookmarks included

    Streams of runs (watches, logs, tunnels) have none but for connecting: they end with their run.
    """

    connect: float = 10.0
    request: float = 30.0
    forward: float = 65.0
    upgrade: float = 65.0
    silence: float = STALL_TIMEOUT
