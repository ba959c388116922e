"""Which zygote a request gets: that of its environment, as long as the files that it has loaded are unchanged."""

from __future__ import annotations

import itertools
import json
import marshal
import selectors
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconcile_runner.execution import processes, rundeadline
from reconcile_runner.execution.forkserver import wire
from reconcile_runner.execution.forkserver.configuration import PER_RUN, state_of
from reconcile_runner.execution.forkserver.server import Server, ZygoteHandle

MOST = 6
BEAT, PRIMING = 10.0, 10.0
SILENT_BEATS = 3


class Process:
    """As much of a zygote's process as is looked at."""

    def __init__(self, pid: int, end: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._end = end

    def kill(self) -> None:
        """End by a signal, and close the socket to the server as the kernel does."""
        self.returncode = -signal.SIGKILL
        self._end.close()

    def wait(self, _timeout: float) -> int | None:
        return self.returncode


class Zygotes(Server):
    """A server whose zygotes are sockets of this process."""

    def __init__(self, listener: socket.socket, home: Path) -> None:
        super().__init__(listener, home, (), rundeadline.NONE, wire.Patience(beat=BEAT, priming=PRIMING))
        self.are_ready_at_once = True
        self.started: list[ZygoteHandle] = []
        self.ends: list[socket.socket] = []
        self.reported: list[wire.ServerEvent] = []
        self._pids = itertools.count(1)

    def _start_zygote(self, environment: dict[bytes, bytes]) -> ZygoteHandle:
        ours, theirs = socket.socketpair()
        process: Any = Process(next(self._pids), theirs)
        self.started.append(ZygoteHandle(process, ours, ready=self.are_ready_at_once))
        ours.settimeout(0.1)
        zygote = self.started[-1]
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._on_message(zygote))
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

    def hear(self) -> None:
        """Handle what zygotes have sent, and their ends."""
        for key, _ in self._selector.select(0):
            key.data()

    def get_ready(self, number: int) -> None:
        """Have a zygote say that it has loaded Ansible."""
        self.ends[number].sendall(json.dumps({"unusable": "", "files": {}}).encode() + b"\n")
        self.hear()

    def beat(self) -> None:
        """Hear what there is, and beat once."""
        self.hear()
        self._beat()
        self.hear()

    def close(self) -> None:
        for each in (self._listener, *self.ends, *(zygote.socket for zygote in self.started)):
            each.close()
        self._selector.close()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zygotes]:
    watched, other = socket.socketpair()
    monkeypatch.setattr("reconcile_runner.execution.forkserver.server.ChildWatch", lambda: watched)
    server = Zygotes(socket.socket(), tmp_path)

    def report(event: wire.ServerEvent, **_details: object) -> None:
        if event is not wire.ServerEvent.ALIVE:
            server.reported.append(event)

    monkeypatch.setattr("reconcile_runner.execution.forkserver.server.report", report)
    yield server
    server.close()
    watched.close()
    other.close()


def requests(server: Zygotes) -> list[int]:
    """Return how many requests each zygote has got, and whether it is to get no more (-1)."""
    return [_count(end) for end in server.ends if end.fileno() >= 0]


def _count(end: socket.socket) -> int:
    end.setblocking(False)
    count = 0
    try:
        while received := wire.receive(end):
            if isinstance(received, tuple):
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


def answer(server: Zygotes, number: int) -> int:
    """Have a zygote answer what it was asked; return how many questions there were."""
    end = server.ends[number]
    end.setblocking(False)
    questions = 0
    try:
        while wire.receive(end) is wire.PING:
            questions += 1
            end.sendall(wire.PONG)
    except BlockingIOError:
        return questions
    return questions


def is_waiting(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        client.recv(1)
    except BlockingIOError:
        return True
    return False


def test_a_zygote_that_answers_stays(server: Zygotes) -> None:
    server.ask(A="1").close()
    assert requests(server) == [1]
    for _ in range(3 * SILENT_BEATS):
        server.beat()
        assert answer(server, 0) == 1
    assert server.reported == []


def test_one_that_does_not_is_killed_and_the_next_request_starts_another(server: Zygotes) -> None:
    server.ask(A="1").close()
    for _ in range(SILENT_BEATS):  # the first one asks
        server.beat()
        assert server.reported == []
    server.beat()
    assert server.reported == [wire.ServerEvent.ZYGOTE_HUNG]
    assert server.ends[0].fileno() == -1
    server.ask(A="1").close()
    assert len(server.started) == 2


def test_one_that_answers_late_stays(server: Zygotes) -> None:
    server.ask(A="1").close()
    assert requests(server) == [1]
    for _ in range(3):
        for _ in range(SILENT_BEATS):
            server.beat()
        assert answer(server, 0) == 1
    assert server.reported == []


def test_one_that_takes_no_request_is_killed_at_once(server: Zygotes) -> None:
    server.ask(A="1").close()
    while not server.reported:
        server.ask(A="1").close()
    assert server.reported == [wire.ServerEvent.ZYGOTE_HUNG]


def test_one_that_loads_ansible_lives_as_long_as_it_computes(server: Zygotes, monkeypatch: pytest.MonkeyPatch) -> None:
    server.are_ready_at_once = False
    used = itertools.count()
    monkeypatch.setattr(processes, "cpu_time", lambda _pid: next(used))
    with server.ask(A="1") as client:
        for _ in range(3 * SILENT_BEATS):
            server.beat()
        assert server.reported == []
        monkeypatch.setattr(processes, "cpu_time", lambda _pid: 7)
        for _ in range(SILENT_BEATS + 1):
            server.beat()
        assert server.reported == [wire.ServerEvent.ZYGOTE_HUNG]
        assert client.recv(1) == wire.ORDINARY


@pytest.mark.parametrize("how", ["dies", "hangs"])
def test_while_a_lost_one_is_replaced_runs_go_the_ordinary_way(server: Zygotes, how: str) -> None:
    server.ask(A="1").close()
    server.are_ready_at_once = False
    if how == "dies":
        server.started[0].process.kill()
        server.hear()
        assert server.reported == [wire.ServerEvent.ZYGOTE_EXITED]
    else:
        for _ in range(SILENT_BEATS + 1):
            server.beat()
    for _ in range(2):
        with server.ask(A="1") as client:
            assert client.recv(1) == wire.ORDINARY
    assert len(server.started) == 2
    server.get_ready(1)
    server.ask(A="1").close()
    assert requests(server)[-1] == 1


def test_a_first_one_is_waited_for_but_not_for_ever(server: Zygotes, monkeypatch: pytest.MonkeyPatch) -> None:
    server.are_ready_at_once = False
    with server.ask(A="1") as early:
        now = server.started[0].pending[0].refuse_at
        with server.ask(A="1") as late:
            monkeypatch.setattr("reconcile_runner.execution.forkserver.server.time.monotonic", lambda: now)
            server.started[0].pending[1] = replace(server.started[0].pending[1], refuse_at=now + 1)
            assert server._seconds_to_wait() == 0
            server._refuse_who_waited()
            assert early.recv(1) == wire.ORDINARY
            assert is_waiting(late)
            server._next_beat = now + BEAT
            assert 0 < server._seconds_to_wait() <= 1


def test_one_that_is_killed_while_it_loads_ansible_is_tried_again_later(server: Zygotes) -> None:
    server.are_ready_at_once = False
    with server.ask(A="1") as client:
        server.started[0].process.kill()
        server.hear()
        assert client.recv(1) == wire.ORDINARY
    assert server.reported == [wire.ServerEvent.ZYGOTE_UNUSABLE]
    with server.ask(A="1") as client:
        assert client.recv(1) == wire.ORDINARY
    assert len(server.started) == 1
    server.started[0].started -= 60
    with server.ask(A="1") as client:
        assert client.recv(1) == wire.ORDINARY
    assert len(server.started) == 2
    server.get_ready(1)
    server.ask(A="1").close()
    assert requests(server)[-1] == 1


def test_a_retired_one_that_has_no_run_left_and_does_not_end_is_killed(
    server: Zygotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in range(MOST + 1):
        server.ask(A=str(name)).close()
    monkeypatch.setattr(processes, "living_descendants", lambda _pid: frozenset({7}))
    for _ in range(2 * SILENT_BEATS):
        for number in range(1, MOST + 1):
            answer_all(server, number)
        server.beat()
    assert server.reported == []
    monkeypatch.setattr(processes, "living_descendants", lambda _pid: frozenset())
    for _ in range(SILENT_BEATS):
        for number in range(1, MOST + 1):
            answer_all(server, number)
        server.beat()
    assert server.reported == [wire.ServerEvent.ZYGOTE_HUNG]
    assert server.ends[0].fileno() == -1


def answer_all(server: Zygotes, number: int) -> None:
    """Have a zygote take its requests and answer its questions."""
    end = server.ends[number]
    end.setblocking(False)
    try:
        while received := wire.receive(end):
            if isinstance(received, tuple):
                socket.close(received[1][0])
            else:
                end.sendall(wire.PONG)
    except BlockingIOError:
        return
