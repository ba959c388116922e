"""Calls a function in an interpreter of its own: what patches Ansible, or the import system, reaches no other test."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from tests.support.paths import REPOSITORY


def call(function: Callable[..., Any], *arguments: object, **settings: str) -> Any:
    """Return what a function of a test module returns there, for arguments and answers that JSON can hold.

    Ansible has no settings there but ``settings``, variables of the environment.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE", "K8S_AUTH"))}
    environment.pop("KUBECONFIG", None)
    words = [function.__module__, function.__qualname__, json.dumps(arguments)]
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-m", __name__, *words],
            cwd=home, env={**environment, "HOME": home, "PYTHONPATH": str(REPOSITORY), **settings},
            capture_output=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return json.loads(done.stdout)


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


def main() -> None:
    """Call the function of the first argument, a module, and the second; stdout is for its answer alone."""
    module, name, arguments = sys.argv[1:]
    answers = os.dup(1)
    os.dup2(2, 1)
    answer = getattr(importlib.import_module(module), name)(*json.loads(arguments))
    with os.fdopen(answers, "w", encoding="utf-8") as file:
        json.dump(answer, file)


if __name__ == "__main__":
    main()
