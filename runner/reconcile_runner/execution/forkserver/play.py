"""The play: a fork that becomes what ``ansible-playbook`` would have been.

What a process has from its parent or its environment is set here, then Ansible's own command line runs.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import gc
import os
import secrets
import signal
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from types import ModuleType
from typing import Final, NoReturn

from reconcile_runner.execution import processes, tempdir
from reconcile_runner.execution.forkserver import configuration, importedstate, wire
from reconcile_runner.execution.forkserver.modules import connection
from reconcile_runner.execution.forkserver.modules.host import ModuleHost
from reconcile_runner.execution.forkserver.patches import startup
from reconcile_runner.execution.forkserver.priming import Primed
from reconcile_runner.execution.forkserver.supervisor import REFUSED

_GC_THRESHOLD: Final = 20_000
"""New objects between two garbage collections: most plays end before the third. Python's 700 makes hundreds."""

_SHUT_DOWN_THREADS = "_shutdown"
_RUN_EXIT_FUNCTIONS = "_run_exitfuncs"


def play(request: wire.PlayRequest, primed: Primed, host: ModuleHost) -> NoReturn:
    """Run the requested play and end this process as ``ansible-playbook`` ends."""
    code = 250
    try:
        if primed.needs_directory or not _become(request):
            os._exit(REFUSED)
        if primed.printed:
            os.write(1, primed.printed)
        primed.controller.install(instead_of=primed.stock.target.imports)
        connection.install(host, primed.stock)
        _read_settings_again(primed)
        importedstate.compute_again()
        startup.search_again()
        importedstate.reopen_log_files()
        code = _run(list(request.argv))
        _publish(request, primed)
    except BaseException:  # noqa: BLE001 - above this frame is another program
        traceback.print_exc()
    finally:
        _exit(code)


def _publish(request: wire.PlayRequest, primed: Primed) -> None:
    """Publish what later plays can reuse.

    The run's own directory is the parent of its working directory.
    """
    with contextlib.suppress(OSError):
        primed.templates.publish()
        primed.parsed_files.publish(Path(request.cwd).parent)


def _become(request: wire.PlayRequest) -> bool:
    """Take over directory and environment.

    False if Ansible would have loaded differently with them.
    """
    os.chdir(request.cwd)
    os.umask(request.umask)
    os.environ.clear()
    for name, value in request.environment.items():
        os.environb[name] = value
    tempfile.tempdir = None
    if not os.isatty(1) or ("ANSIBLE_CONFIG" not in os.environ and Path("ansible.cfg").exists()):
        return False
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    processes.offer_to_oom_killer()
    gc.set_threshold(_GC_THRESHOLD)
    gc.enable()
    return True


def _read_settings_again(primed: Primed) -> None:
    """Set again what Ansible reads when it is imported and differs from run to run."""
    from ansible import constants  # noqa: PLC0415 - loaded in this process, and not in the server's
    from ansible.config import manager  # noqa: PLC0415
    from ansible.utils import vars as identifiers  # noqa: PLC0415

    constants.DEFAULT_LOCAL_TMP = _make_local_tmp(primed.scratch)
    atexit.register(manager.cleanup_tmp_file, constants.DEFAULT_LOCAL_TMP, warn=True)
    for variable, setting in configuration.READ_AGAIN.items():
        if variable in os.environ:
            setattr(constants, setting, constants.config.get_config_value(setting))
    # The middle of the ids of plays and tasks, random for each process.
    identifiers.random_int = secrets.token_hex(4)


def _make_local_tmp(scratch: Path) -> str:
    """Make the directory that Ansible makes when it is configured; return its path."""
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = tempfile.mkdtemp(prefix=f"ansible-local-{os.getpid()}", dir=scratch)
    tempdir.adopt(made)
    return made


def _become_script(argv: list[str]) -> None:
    """Set what an interpreter sets when it starts a script."""
    sys.argv = argv
    sys.orig_argv = [sys.executable, *argv]
    if not sys.flags.safe_path:
        sys.path.insert(0, str(Path(argv[0]).resolve().parent))
    main = sys.modules["__main__"] = ModuleType("__main__")
    vars(main).update(__file__=argv[0], __cached__=None, __builtins__=builtins)


def _run(argv: list[str]) -> int:
    from ansible.cli.playbook import PlaybookCLI  # noqa: PLC0415

    _become_script(argv)
    try:
        PlaybookCLI.cli_executor(argv)
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return int(error.code or 0)
        sys.stderr.write(f"{error.code}\n")
        return 1
    return 0


def _exit(code: int) -> NoReturn:
    """End as an interpreter ends, but without finalizing it."""
    try:
        getattr(threading, _SHUT_DOWN_THREADS)()
        getattr(atexit, _RUN_EXIT_FUNCTIONS)()
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        code = code or 120
    finally:
        os._exit(code & 0xFF)
