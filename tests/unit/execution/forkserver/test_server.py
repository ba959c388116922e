"""Which zygote a request gets: that of its environment, as long as the files that it has loaded are unchanged."""

from __future__ import annotations

import itertools
import marshal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconcile_runner.execution.forkserver import wire
from reconcile_runner.execution.forkserver.configuration import PER_RUN, state_of
from reconcile_runner.execution.forkserver.server import Server, ZygoteHandle

MOST = 6


class Process:
    """As much of a zygote's process as is looked at."""

    def __init__(self, pid: int) -> None:
        self.pid = pid


class Zygotes(Server):
    """A server whose zygotes are sockets of this process."""

    def __init__(self, listener: socket.socket, home: Path) -> None:
        super().__init__(listener, home, ())
        self.started: list[ZygoteHandle] = []
        self.ends: list[socket.socket] = []
        self._pids = itertools.count(1)

    def _start_zygote(self, environment: dict[bytes, bytes]) -> ZygoteHandle:
        ours, theirs = socket.socketpair()
        process: Any = Process(next(self._pids))
        self.started.append(ZygoteHandle(process, ours, ready=True))
        self.ends.append(theirs)
        assert PER_RUN.isdisjoint(environment)
        return self.started[-1]

    def ask(self, **variables: str) -> socket.socket:
        """Send a request with these variables; return the client's end of its connection."""
        environment = {name.encode(): value.encode() for name, value in variables.items()}
        ours, theirs = socket.socketpair()
        self._hand_over(
            wire.PlayRequest((), "/", 0, environment, marshal.dumps(((), "/", 0, environment))), [theirs.detach()]
        )
        return ours

    def close(self) -> None:
        for each in (self._listener, *self.ends, *(zygote.socket for zygote in self.started)):
            each.close()
        self._selector.close()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zygotes]:
    watched, other = socket.socketpair()
    monkeypatch.setattr("reconcile_runner.execution.forkserver.server.ChildWatch", lambda: watched)
    monkeypatch.setattr("reconcile_runner.execution.forkserver.server.report", lambda *_events, **_details: None)
    server = Zygotes(socket.socket(), tmp_path)
    yield server
    server.close()
    watched.close()
    other.close()


def requests(server: Zygotes) -> list[int]:
    """Return how many requests each zygote has got, and whether it is to get no more (-1)."""
    return [_count(end) for end in server.ends]


def _count(end: socket.socket) -> int:
    end.setblocking(False)
    count = 0
    try:
        while received := wire.receive(end):
            socket.close(received[1][0])
            count += 1
    except BlockingIOError:
        return count
    return -1


def test_each_environment_has_a_zygote_of_its_own(server: Zygotes) -> None:
    with server.ask(A="1"), server.ask(A="2"), server.ask(A="1"), server.ask(A="1", B=""):
        assert requests(server) == [2, 1, 1]


def test_variables_that_differ_from_run_to_run_do_not_count(server: Zygotes) -> None:
    for name in PER_RUN:
        server.ask(**{name.decode(): "1"}).close()
        server.ask(**{name.decode(): "2"}).close()
    assert requests(server) == [2 * len(PER_RUN)]


def test_the_zygote_that_is_used_least_recently_makes_room(server: Zygotes) -> None:
    for name in [*range(MOST), 0, MOST]:
        server.ask(A=str(name)).close()
    assert requests(server) == [2, -1, *[1] * (MOST - 1)]
    server.ask(A="1").close()
    assert len(server.started) == MOST + 2


@pytest.mark.parametrize("unusable", ["", "a thread"])
def test_a_zygote_whose_files_have_changed_is_replaced(server: Zygotes, tmp_path: Path, unusable: str) -> None:
    file = tmp_path / "ansible.cfg"
    server.ask(A="1").close()
    server.started[0].files = {str(file): state_of(str(file))}
    server.started[0].unusable = unusable
    server.ask(A="1").close()
    assert len(server.started) == 1
    file.touch()
    server.ask(A="1").close()
    assert len(server.started) == 2
    assert requests(server)[1] == 1


def test_without_a_zygote_that_can_be_used_a_client_is_to_start_ansible_playbook(server: Zygotes) -> None:
    server.ask(A="1").close()
    server.started[0].unusable = "a thread"
    with server.ask(A="1") as client:
        assert client.recv(1) == wire.ORDINARY
