"""What peers are refused before anybody knows who they are: one line a minute, and none of their bytes.

A request that cannot be read may hold a token, so nothing of it is logged. Who sends many must not fill the log.
"""

from __future__ import annotations

import enum
import logging
from collections import Counter
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from reconcile_runner.clock import Clock, Timer
from reconcile_runner.logs import get_logger

REPORT_PERIOD: Final = 60.0
"""Seconds between two lines about the same."""

_HTTP_LOGGER: Final = logging.getLogger("aiohttp.server")

_log = get_logger(__name__)


class Refusal(enum.StrEnum):
    """Why a connection was ended. The values are those of the log key ``cause``."""

    MALFORMED = "what arrived was no HTTP request"
    SLOW = "no complete request came in time"
    MANY = "there were too many connections"
    NO_FILES = "there was no file descriptor left"


class PeerLog:
    """Counts what the peers of one server were refused, and says so."""

    def __init__(self, server: str, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._counts: Counter[Refusal] = Counter()
        self._timers: dict[Refusal, Timer] = {}

    def note(self, refusal: Refusal) -> None:
        """Count a refusal. The first one is logged at once, further ones together after a minute."""
        self._counts[refusal] += 1
        if refusal not in self._timers:
            self._report(refusal)

    def close(self) -> None:
        """Log what was counted since, and nothing after that."""
        for refusal in list(self._timers):
            self._timers.pop(refusal).cancel()
            self._log(refusal)

    def _report(self, refusal: Refusal) -> None:
        self._timers.pop(refusal, None)
        if self._log(refusal):
            self._timers[refusal] = self._clock.call_later(REPORT_PERIOD, lambda: self._report(refusal))

    def _log(self, refusal: Refusal) -> bool:
        count = self._counts.pop(refusal, 0)
        if count:
            _log.warning("peers were refused", server=self._server, cause=str(refusal), count=count)
        return count > 0


class HttpErrors(logging.Logger):
    """Where an aiohttp server logs: what is a peer's fault is counted, all else logged as it is."""

    def __init__(self, peers: PeerLog) -> None:
        super().__init__(_HTTP_LOGGER.name)
        self._peers = peers

    def handle(self, record: logging.LogRecord) -> None:
        """Take a record; what aiohttp says of a request that it cannot read quotes the request."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, (HttpProcessingError, web.RequestPayloadError)):
            self._peers.note(Refusal.MALFORMED)
        elif _HTTP_LOGGER.isEnabledFor(record.levelno):
            _HTTP_LOGGER.handle(record)
