"""Why there was no answer: in one line, whatever raised it."""

from __future__ import annotations

import errno

import aiohttp
import pytest

from runner.client.cause import cause_of


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (aiohttp.ServerDisconnectedError(), "the connection was cut"),
        (aiohttp.ClientPayloadError(), "the connection was cut"),
        (aiohttp.ConnectionTimeoutError(), "connecting took too long"),
        (TimeoutError(), "it stayed silent for too long"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "Connection refused"),
        (ValueError("one\n  two"), "one two"),
        (ValueError(), "ValueError"),
    ],
)
def test_a_cause_is_one_line(error: Exception, text: str) -> None:
    assert cause_of(error) == text
