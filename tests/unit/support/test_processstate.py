"""The detector finds each kind of thing that a task may leave in its process, and nothing where nothing was left."""

# What is done here is done in a fork.

from __future__ import annotations

import atexit
import contextvars
import ctypes
import decimal
import functools
import importlib
import json
import locale
import logging
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from tests.support import fresh, processstate

VARIABLE = contextvars.ContextVar[int]("VARIABLE")
MODULES = (__name__, "json", "logging", "urllib.request")
GIVEN = SimpleNamespace(content={"a": [1]})
NUMBERS = [1, 2]


class Keeper:
    kept: dict[str, int] = {}  # noqa: RUF012 - what is looked for


class Slotted:
    __slots__ = ("__hidden",)

    def hide(self, value: int) -> None:
        self.__hidden = value


SLOTTED = Slotted()


def remember(value: int, seen: list[int] = []) -> None:  # noqa: B006 - what is looked for
    seen.append(value)


def closing() -> Callable[[int], None]:
    inner: list[int] = []

    def keep(value: int) -> None:
        inner.append(value)

    return keep


CLOSURE = closing()


@functools.cache
def cached(value: int) -> int:
    return value


def nothing() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(os.environ.copy()).encode())
    signal.signal(signal.SIGALRM, signal.getsignal(signal.SIGALRM))


def add_handler() -> None:
    logging.getLogger("some.library").addHandler(logging.NullHandler())


def start_thread() -> None:
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()


def start_process() -> None:
    if os.fork() == 0:
        os._exit(0)


LEFT: dict[str, tuple[Callable[[], object], str]] = {
    "environment": (lambda: os.environ.update(LEFT="1"), "environment LEFT"),
    "environment of C": (lambda: ctypes.CDLL(None).putenv(b"A_LEFT=1"), "environment of the C library"),
    "directory": (lambda: os.chdir("/"), "directory"),
    "umask": (lambda: os.umask(0o007), "umask"),
    "signal": (lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN), "signal 10"),
    "blocked signal": (lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]), "blocked signals"),
    "timer": (lambda: signal.setitimer(signal.ITIMER_PROF, 1000), "timer 2"),
    "descriptor": (lambda: os.dup2(2, 250), "descriptor 250"),
    "limit": (lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)), "limit RLIMIT_CORE"),
    "thread": (start_thread, "threads"),
    "child": (start_process, "children"),
    "locale": (lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"), "locale"),
    "socket's timeout": (lambda: socket.setdefaulttimeout(5), "socket timeout"),
    "decimal": (lambda: decimal.getcontext().__setattr__("prec", 5), "decimal context"),
    "context": (lambda: VARIABLE.set(1), "context variables"),
    "exit function": (lambda: atexit.register(len, []), "exit functions"),
    "path": (lambda: sys.path.insert(0, "/left"), "sys.path"),
    "importer": (lambda: sys.meta_path.append(SimpleNamespace(find_spec=lambda *_: None)), "sys.meta_path"),
    "stream": (lambda: setattr(sys, "stdout", sys.stderr), "standard streams"),
    # Not one like that which any other test of this process leaves when it opens a URL.
    "opener": (lambda: urllib.request.install_opener(urllib.request.OpenerDirector()), "urllib.request:_opener"),
    "logging": (add_handler, "logging:Logger.manager"),
    "module": (lambda: importlib.import_module("this"), "imported this"),
    "variable": (lambda: setattr(json, "left", 1), "json:left"),
    "inside a variable": (lambda: NUMBERS.append(3), f"{__name__}:NUMBERS"),
    "class": (lambda: Keeper.kept.update(a=1), f"{__name__}:Keeper.kept"),
    "default": (lambda: remember(1), f"{__name__}:remember"),
    "closure": (lambda: CLOSURE(1), f"{__name__}:CLOSURE"),
    "cache": (lambda: cached(1), f"{__name__}:cached"),
    "slot": (lambda: SLOTTED.hide(1), f"{__name__}:SLOTTED"),
    "function": (lambda: setattr(json, "dumps", len), "json:dumps"),
    "object": (lambda: GIVEN.content["a"].append(2), "given.content"),
}


def left_by(name: str) -> list[str]:
    leave = LEFT[name][0] if name in LEFT else nothing
    before = processstate.look({"given": GIVEN}, MODULES)
    leave()
    return processstate.differences(before, processstate.look({"given": GIVEN}, MODULES))


def test_nothing_is_found_where_nothing_was_left() -> None:
    assert fresh.in_a_fork(left_by, "nothing") == []


@pytest.mark.parametrize("name", LEFT)
def test_what_was_left_is_found(name: str) -> None:
    assert LEFT[name][1] in fresh.in_a_fork(left_by, name)
