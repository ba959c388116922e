from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from reconcile_runner.execution import frames


def byte_by_byte(content: bytes) -> Callable[[int], bytes]:
    """Return a reader of a stream that hands out one byte at a time, as a slow pipe may."""
    stream = io.BytesIO(content)
    return lambda size: stream.read(min(size, 1))


@pytest.mark.parametrize("body", [b"", b"body", bytes(70_000)], ids=len)
def test_a_frame_is_read_as_it_was_written(body: bytes) -> None:
    read = byte_by_byte(frames.header(body) + body + b"rest")
    assert frames.read(read) == body
    assert frames.read_exactly(read, 4) == b"rest"


def test_the_length_is_big_endian() -> None:
    assert frames.header(bytes(258)) == b"\0\0\1\2"
    assert frames.body_length(b"\0\0\1\2") == 258


@pytest.mark.parametrize("stream", [b"", b"\0\0", b"\0\0\0\4abc"], ids=repr)
def test_a_stream_that_ends_holds_no_frame(stream: bytes) -> None:
    assert frames.read(byte_by_byte(stream)) is None
