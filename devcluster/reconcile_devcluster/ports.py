"""A port for the API server that nobody can take between being chosen and being used.

Held by `controlplane` until the API server serves on it: both set SO_REUSEPORT (`--permit-port-sharing`), and the
kernel refuses the port to everyone who does not, as well as to other users.
"""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = "127.0.0.1"


@contextmanager
def reserved_port(preferred: int | None, address: str = LOOPBACK) -> Iterator[int]:
    """Hold a port.

    Args:
        preferred: The port of the last start, so that clients find the API server again; taken when it is free.
        address: IPv4 address of this machine. Default: the loopback interface.

    Yields:
        The port number: the preferred one, else one given by the system.

    """
    with _bound_socket(preferred, address) as holder:
        yield int(holder.getsockname()[1])


def _bound_socket(preferred: int | None, address: str) -> socket.socket:
    if preferred is not None and _is_free(preferred, address):
        try:
            return _bind(preferred, address)
        except OSError:
            pass
    return _bind(0, address)


def _is_free(port: int, address: str) -> bool:
    """Whether nobody holds the port, not even somebody who shares it (another control plane of ours)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen()
        except OSError:
            return False
        return True


def _bind(port: int, address: str) -> socket.socket:
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Without SO_REUSEADDR: two sockets that have it may both hold a port on which neither listens yet.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((address, port))
    except OSError:
        holder.close()
        raise
    return holder
