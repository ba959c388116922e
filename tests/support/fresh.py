"""Calls a function in an interpreter of its own: what patches Ansible, or the import system, reaches no other test."""

from __future__ import annotations

import atexit
import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from tests.support.paths import REPOSITORY
from tests.support.zygote import Zygote

_TIMEOUT = 150.0


def call(function: Callable[..., Any], *arguments: object, **settings: str) -> Any:
    """Return what a function of a test module returns there, for arguments and answers that JSON can hold.

    Ansible has no settings there but ``settings``, variables of the environment.
    """
    words = [function.__module__, function.__qualname__, json.dumps(arguments)]
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-m", __name__, *words],
            cwd=home, env=_environment(home, **settings), capture_output=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return json.loads(done.stdout)


def call_with_ansible(function: Callable[..., Any], *arguments: object) -> Any:
    """Return the same of a fork of a process that has loaded Ansible, as a play is one of its zygote.

    Not for what depends on which modules are imported, or on Ansible's settings.
    """
    with tempfile.TemporaryDirectory() as home:
        done = _holder().call(
            f"{__name__}:{answer.__name__}", function.__module__, function.__qualname__, arguments,
            environment=_environment(home), cwd=home, timeout=_TIMEOUT,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@functools.cache
def _holder() -> Zygote:
    home = tempfile.TemporaryDirectory()
    atexit.register(home.cleanup)
    return Zygote(f"{__name__}:{load_ansible.__name__}", _environment(home.name))


def _environment(home: str, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE", "K8S_AUTH"))}
    kept.pop("KUBECONFIG", None)
    return {**kept, "HOME": home, "PYTHONPATH": str(REPOSITORY), **settings}


@functools.cache
def load_ansible() -> None:
    """Load Ansible as a zygote does: its command line first."""
    importlib.import_module("ansible.cli.playbook")
    loader: Any = importlib.import_module("ansible.plugins.loader")
    loader.init_plugin_loader()


def in_a_fork(function: Callable[..., Any], *arguments: object) -> Any:
    """Return what a function returns in a fork of this process, as a play is one of its zygote."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _answer(writing, function, *arguments)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as file:
        text = file.read()
    _, status = os.waitpid(pid, 0)
    assert status == 0, "a fork failed"
    return json.loads(text)


def _answer(writing: int, function: Callable[..., Any], *arguments: object) -> NoReturn:
    code = 1
    try:
        with os.fdopen(writing, "w", encoding="utf-8") as file:
            json.dump(function(*arguments), file)
        code = 0
    except Exception:  # noqa: BLE001 - above this frame is the process that was forked
        traceback.print_exc()
    finally:
        os._exit(code)


def answer(module: str, name: str, arguments: Sequence[object]) -> None:
    """Call a function of a module; stdout is for its answer alone."""
    answers = os.dup(1)
    os.dup2(2, 1)
    returned = getattr(importlib.import_module(module), name)(*arguments)
    with os.fdopen(answers, "w", encoding="utf-8") as file:
        json.dump(returned, file)


if __name__ == "__main__":
    answer(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
