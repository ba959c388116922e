"""Requests and their descriptors, over a socket."""

from __future__ import annotations

import marshal
import os
import socket

import pytest

from reconcile_runner.execution.forkserver import wire


def make_request() -> wire.PlayRequest:
    environment = {b"RECONCILE_RUNNER_JOB": b"7", b"TEXT": b"gr\xc3\xbc\xc3\x9fe\xff"}
    body = marshal.dumps((["ansible-playbook", "x.yml"], "/somewhere", 0o22, environment))
    return wire.PlayRequest(("ansible-playbook", "x.yml"), "/somewhere", 0o22, environment, body)


def test_a_request_arrives_with_its_descriptors() -> None:
    here, there = socket.socketpair()
    read, write = os.pipe()
    with here, there:
        wire.send(here, make_request(), [write])
        received = wire.receive(there)
    assert isinstance(received, tuple)
    request, (descriptor,) = received
    assert request == make_request()
    assert request.job == "7"
    os.write(descriptor, b"through")
    assert os.read(read, 7) == b"through"
    for each in (read, write, descriptor):
        os.close(each)


def test_the_end_is_no_request() -> None:
    here, there = socket.socketpair()
    with there:
        here.close()
        assert wire.receive(there) is None


def test_a_question_is_no_request_and_is_asked_without_waiting() -> None:
    here, there = socket.socketpair()
    with here, there:
        wire.ping(here)
        assert wire.receive(there) is wire.PING
        with pytest.raises(BlockingIOError):
            _ask_for_ever(here)


def _ask_for_ever(end: socket.socket) -> None:
    """Ask one that reads nothing."""
    while True:
        wire.ping(end)


def test_a_request_that_breaks_off_is_an_error() -> None:
    here, there = socket.socketpair()
    with there:
        here.sendall((100).to_bytes(4, "big") + b"too short")
        here.close()
        with pytest.raises(ValueError, match="the end came inside a request"):
            wire.receive(there)
