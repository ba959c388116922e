"""Runs a local Python module in a fork of the worker that would have started an interpreter for it.

``priming`` installs it in the connection plugin ``local``, where Ansible hands the module over as it does when it
pipelines: a program on the interpreter's stdin. Only what is exactly as expected is taken: this interpreter, no other
user, no asynchronous task, a payload of the known shape. Anything else, the plugin does as ever.
"""

from __future__ import annotations

import os
import re
import selectors
import shlex
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from runner.execution.forkserver import moduleprocess
from runner.execution.forkserver.targetmodules import TargetModules

_QUIET: Final = 3
"""The verbosity from which Ansible shows each command it runs: there it is to run them, as ever."""

_SUFFIX = " && sleep 0"
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_READ_AT_START = re.compile(r"PYTHON|LD_|LC_|LANG|TZ$|MALLOC|GLIBC|GCONV|OPENSSL")
"""Variables that an interpreter, or a library in it, reads when it starts."""


@dataclass(frozen=True, slots=True)
class Command:
    """A module to run: the environment variables its task adds, and its payload."""

    environment: dict[str, str]
    payload: bytes


def install(modules: TargetModules) -> None:
    """Have the connection plugin ``local`` of this process, and of its forks, run modules in forks."""
    from ansible import constants  # noqa: PLC0415 - not in the server
    from ansible.plugins.loader import connection_loader  # noqa: PLC0415
    from ansible.utils.display import Display  # noqa: PLC0415

    plugin = connection_loader.get("local", class_only=True)
    ordinary_exec, ordinary_pipelining = plugin.exec_command, plugin.is_pipelining_enabled

    def is_pipelining_enabled(self: Any, wrap_async: bool = False) -> bool:
        here = not (wrap_async or self.become or constants.DEFAULT_KEEP_REMOTE_FILES or Display().verbosity >= _QUIET)
        return here or bool(ordinary_pipelining(self, wrap_async))

    def exec_command(self: Any, cmd: Any, in_data: bytes | None = None, sudoable: bool = True) -> Any:
        command = None if self.become else recognise(cmd, in_data)
        prepared = moduleprocess.prepare(command.payload, modules) if command else None
        if command is None or prepared is None:
            return ordinary_exec(self, cmd, in_data=in_data, sudoable=sudoable)
        return run_in_fork(prepared, command.environment, self.cwd)

    plugin.is_pipelining_enabled = is_pipelining_enabled
    plugin.exec_command = exec_command


def recognise(cmd: object, in_data: bytes | None) -> Command | None:
    """Return what a command of Ansible's pipelining is to run; None where it is not this interpreter on a payload."""
    if not isinstance(cmd, str) or not in_data:
        return None
    try:
        shell, option, script = shlex.split(cmd)
        words = shlex.split(script.removesuffix(_SUFFIX))
    except ValueError:
        return None
    if (shell, option) != ("/bin/sh", "-c") or not script.endswith(_SUFFIX) or not words:
        return None
    *assignments, interpreter = words
    if not all(_ASSIGNMENT.match(each) and not _READ_AT_START.match(each) for each in assignments):
        return None
    if not _is_this_interpreter(interpreter):
        return None
    return Command(dict(each.split("=", 1) for each in assignments), in_data)


def _is_this_interpreter(path: str) -> bool:
    """Tell whether a path starts this very interpreter: in a virtual environment, the directory tells which."""
    own = Path(sys.executable)
    other = Path(path)
    return other == own or (other.parent == own.parent and other.resolve() == own.resolve())


def run_in_fork(
    module: moduleprocess.PreparedModule, environment: dict[str, str], cwd: str | None
) -> tuple[int, bytes, bytes]:
    """Run a module in a child; return exit code, stdout and stderr, as the shell between would have passed them on."""
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        moduleprocess.run(module, environment, cwd, out_write, err_write)
    os.close(out_write)
    os.close(err_write)
    stdout, stderr = _read_both(out_read, err_read)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        stderr += f"{signal.strsignal(-code)}\n".encode()
        code = 128 - code
    return code, stdout, stderr


def _read_both(*descriptors: int) -> list[bytes]:
    found = {descriptor: bytearray() for descriptor in descriptors}
    with selectors.DefaultSelector() as selector:
        for descriptor in descriptors:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                part = os.read(key.fd, 1024 * 1024)
                if part:
                    found[key.fd] += part
                else:
                    selector.unregister(key.fd)
                    os.close(key.fd)
    return [bytes(each) for each in found.values()]
