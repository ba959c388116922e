"""The API client: the only place that talks HTTP to the API server.

``api`` is the Protocol, ``http`` its implementation; ``config``, ``tls`` and ``credentials`` say where the server is
and who asks, ``decoding`` reads its answers, ``outage`` limits log lines about it. ``discovery`` is built on them.
"""

from reconcile_runner.client.api import (
    ACCEPT_JSON,
    ACCEPT_PARTIAL,
    ACCEPT_PARTIAL_LIST,
    STALL_TIMEOUT,
    ApiClient,
    PatchBody,
    PatchType,
    WatchEvent,
    WatchEventType,
)
from reconcile_runner.client.http import HttpClient, connect
from reconcile_runner.client.outage import OutageLog
from reconcile_runner.client.retry import MAX_CONFLICTS, retry_on_conflict
from reconcile_runner.client.upgrade import Refused, Upgraded

__all__ = [
    "ACCEPT_JSON",
    "ACCEPT_PARTIAL",
    "ACCEPT_PARTIAL_LIST",
    "MAX_CONFLICTS",
    "STALL_TIMEOUT",
    "ApiClient",
    "HttpClient",
    "OutageLog",
    "PatchBody",
    "PatchType",
    "Refused",
    "Upgraded",
    "WatchEvent",
    "WatchEventType",
    "connect",
    "retry_on_conflict",
]
