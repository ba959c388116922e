from __future__ import annotations

import socket

import pytest

from reconcile_devcluster.ports import LOOPBACK, reserved_port


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as server:
        return int(server.getsockname()[1])


def test_a_reserved_port_cannot_be_taken_by_others() -> None:
    with reserved_port(None) as port, pytest.raises(OSError, match="in use"):
        socket.create_server((LOOPBACK, port))


def test_a_server_that_shares_the_port_can_serve_on_it() -> None:
    with (
        reserved_port(None) as port,
        socket.create_server((LOOPBACK, port), reuse_port=True) as server,
        socket.create_connection((LOOPBACK, port), timeout=5) as client,
        server.accept()[0] as accepted,
    ):
        client.sendall(b"x")
        assert accepted.recv(1) == b"x"


def test_the_preferred_port_is_given_when_it_is_free() -> None:
    wanted = _free_port()
    with reserved_port(wanted) as port:
        assert port == wanted


@pytest.mark.parametrize("shared", [False, True], ids=["exclusive", "shared"])
def test_a_preferred_port_in_use_gives_way_to_another(shared: bool) -> None:
    with socket.create_server((LOOPBACK, 0), reuse_port=shared) as server:
        taken = int(server.getsockname()[1])
        with reserved_port(taken) as port:
            assert port != taken


def test_two_reservations_differ() -> None:
    with reserved_port(None) as one, reserved_port(None) as other, reserved_port(one) as third:
        assert len({one, other, third}) == 3
