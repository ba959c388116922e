# ruff: noqa: PTH109
"""Filters that leave all sorts of things in their process, and one that tells what it finds there."""

import ctypes
import os
import signal
import sys

SEEN = []


def leave(value):
    os.environ["LEFT"] = str(value)
    os.chdir("/")
    os.umask(0o007)
    sys.path.insert(0, "/left")
    SEEN.append(value)
    return value


def find(_value):
    now = os.umask(0o077)
    os.umask(now)
    return [os.environ.get("LEFT"), os.getcwd() == "/", now, "/left" in sys.path, SEEN]


def crash(how):
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(3)
    ctypes.string_at(0)


class FilterModule:
    def filters(self):
        return {"leave": leave, "find": find, "crash": crash}
