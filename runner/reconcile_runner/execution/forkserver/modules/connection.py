"""Runs a local Python module in a fork instead of a new interpreter.

It patches the connection plugin ``local``, which gets a module as the stdin of an interpreter when Ansible pipelines.
Only the expected case is taken over: this interpreter, no other user, no asynchronous task, a payload of a known
format, an environment in which the shared code would have been imported alike. The plugin runs anything else as usual.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconcile_runner.execution.forkserver import importedstate
from reconcile_runner.execution.forkserver.modules import child, shell
from reconcile_runner.execution.forkserver.modules.host import ModuleHost

_COMMANDS_SHOWN: Final = 3
"""The verbosity from which Ansible shows each command that it runs, so it has to run them."""

_SUFFIX = " && sleep 0"
"""The end of a command of ansible-core 2.19 and 2.20. 2.21 adds none."""

_TEMPLATE: Final = "ACTIVE_ANSIBALLZ_TEMPLATE"
_DECIDE: Final = "_is_pipelining_enabled"
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_READ_AT_START = re.compile(r"_?PYTHON|LD_|LC_|LANG|TZ$|MALLOC|GLIBC|GCONV|OPENSSL")
"""Variables that an interpreter or a library in it reads at its start."""


@dataclass(frozen=True, slots=True)
class Command:
    """A module to run: the environment variables its task adds, and its payload."""

    environment: dict[str, str]
    payload: bytes


def install(host: ModuleHost, stock: child.Stock) -> None:
    """Have the connection plugin ``local`` run modules by ``host``.

    In this process and its forks.
    """
    from ansible import constants  # noqa: PLC0415 - not in the server
    from ansible.executor import module_common  # noqa: PLC0415
    from ansible.plugins.loader import connection_loader  # noqa: PLC0415
    from ansible.utils.display import Display  # noqa: PLC0415

    plugin = connection_loader.get("local", class_only=True)
    template: str | None = getattr(module_common, _TEMPLATE, None)
    ordinary_exec = plugin.exec_command

    def runs_here(connection: Any, wrap_async: bool) -> bool:
        return not (
            wrap_async
            or connection.become
            or constants.DEFAULT_KEEP_REMOTE_FILES
            or Display().verbosity >= _COMMANDS_SHOWN
        )

    def exec_command(self: Any, cmd: Any, in_data: bytes | None = None, sudoable: bool = True) -> Any:
        answer = None
        if not self.become and Display().verbosity < _COMMANDS_SHOWN:
            command = parse_command(cmd, in_data)
            answer = _ask(host, stock, command, template, self.cwd) if in_data else shell.answer(cmd)
        return answer or ordinary_exec(self, cmd, in_data=in_data, sudoable=sudoable)

    plugin.exec_command = exec_command
    if hasattr(plugin, "is_pipelining_enabled"):
        _pipeline(plugin, runs_here)
    else:
        _pipeline_in_actions(plugin, runs_here)


def _pipeline(plugin: Any, runs_here: Callable[[Any, bool], bool]) -> None:
    ordinary = plugin.is_pipelining_enabled

    def is_pipelining_enabled(self: Any, wrap_async: bool = False) -> bool:
        return runs_here(self, wrap_async) or bool(ordinary(self, wrap_async))

    plugin.is_pipelining_enabled = is_pipelining_enabled


def _pipeline_in_actions(plugin: Any, runs_here: Callable[[Any, bool], bool]) -> None:
    """Have actions pipeline modules to ``plugin``: they decide it before ansible-core 2.19."""
    from ansible.plugins.action import ActionBase  # noqa: PLC0415

    ordinary = getattr(ActionBase, _DECIDE)

    def is_pipelining_enabled(self: Any, module_style: str, wrap_async: bool = False) -> bool:
        connection = self._connection
        here = module_style == "new" and isinstance(connection, plugin) and runs_here(connection, wrap_async)
        return here or bool(ordinary(self, module_style, wrap_async))

    setattr(ActionBase, _DECIDE, is_pipelining_enabled)


def _ask(
    host: ModuleHost, stock: child.Stock, command: Command | None, template: str | None, cwd: bytes | None
) -> shell.Answer | None:
    module = child.parse(command.payload, template) if command else None
    if command is None or module is None:
        return None
    if not stock.archives.find(module.zip_data) and not child.is_archive(module.zip_data):
        return None
    environment = dict(os.environb)
    # Bytes or, since ansible-core 2.21, text.
    environment[b"PWD"] = _directory_of_shell(environment.get(b"PWD"), os.fsencode(cwd or Path.cwd()))
    environment.update((os.fsencode(name), os.fsencode(value)) for name, value in command.environment.items())
    if not importedstate.is_same_in(environment, stock.read):
        return None
    return host.ask(module, environment, cwd)


def _directory_of_shell(named: bytes | None, cwd: bytes) -> bytes:
    """Return the variable ``PWD`` as a shell in ``cwd`` sets it that finds it with a value."""
    with contextlib.suppress(OSError):
        if named and named.startswith(b"/") and Path(os.fsdecode(named)).samefile(os.fsdecode(cwd)):
            return named
    return os.path.realpath(cwd)


def parse_command(cmd: object, in_data: bytes | None) -> Command | None:
    """Return the module that a pipelined command runs.

    None if it is not this interpreter with a payload.
    """
    if not isinstance(cmd, str) or not in_data:
        return None
    try:
        shell, option, script = shlex.split(cmd)
        words = shlex.split(script.removesuffix(_SUFFIX))
    except ValueError:
        return None
    if (shell, option) != ("/bin/sh", "-c") or not words:
        return None
    *assignments, interpreter = words
    if not all(_ASSIGNMENT.match(each) and not _READ_AT_START.match(each) for each in assignments):
        return None
    if not _is_this_interpreter(interpreter):
        return None
    return Command(dict(each.split("=", 1) for each in assignments), in_data)


def _is_this_interpreter(path: str) -> bool:
    """Return whether a path starts this interpreter.

    In a virtual environment, the directory is part of it.
    """
    own = Path(sys.executable)
    other = Path(path)
    return other == own or (other.parent == own.parent and other.resolve() == own.resolve())
