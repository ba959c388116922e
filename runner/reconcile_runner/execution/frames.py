"""Frames: four bytes of length, big-endian, and a body of that many bytes.

A launcher's reports and jobs, and the requests to the fork server, are frames. (``forkserver.client`` writes them by
itself, because it is copied as a script and imports nothing.) Imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

HEADER_BYTES: Final = 4


def header(body: bytes) -> bytes:
    """Return the header of a body."""
    return len(body).to_bytes(HEADER_BYTES, "big")


def body_length(header: bytes) -> int:
    """Return how many bytes follow a header."""
    return int.from_bytes(header, "big")


def read(read_some: Callable[[int], bytes]) -> bytes | None:
    """Return the body of the next frame.

    None if the stream ends before the frame does. ``read_some`` returns 1 to n bytes for n, or none at the end of the
    stream.
    """
    found = read_exactly(read_some, HEADER_BYTES)
    return None if found is None else read_exactly(read_some, body_length(found))


def read_exactly(read_some: Callable[[int], bytes], size: int) -> bytes | None:
    """Return the next ``size`` bytes of a stream; None if it ends before."""
    parts = bytearray()
    while len(parts) < size:
        part = read_some(size - len(parts))
        if not part:
            return None
        parts += part
    return bytes(parts)
