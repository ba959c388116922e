"""The process of one module: a fork that makes itself a new interpreter, and runs the payload as its wrapper would.

``inprocess`` has the payload checked here (``prepare``) before it forks, and calls ``run`` in the child.
"""

from __future__ import annotations

import atexit
import base64
import binascii
import contextlib
import datetime as dt
import gc
import importlib
import io
import locale
import logging
import multiprocessing.process
import os
import resource
import signal
import sys
import tempfile
import threading
import traceback
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from runner.execution.forkserver import process
from runner.execution.forkserver.targetmodules import TargetModule, TargetModules, take_away

_CALL = b'\n\nif __name__ == "__main__":\n    _ansiballz_main(\n'
_ARGUMENTS = frozenset(
    {"ansible_module", "module_fqn", "profile", "date_time", "rlimit_nofile", "params", "extensions", "zip_data"}
)
_LOADER = "ansible.module_utils._internal._ansiballz._loader"
_CURRENT_PROCESS = "_current_process"
_MAIN_PROCESS = multiprocessing.process.current_process()
"""The zygote's, in which this is imported: a worker's is a daemon, which may have no children."""


@dataclass(frozen=True, slots=True)
class PreparedModule:
    """A payload that can be run here: the arguments of its wrapper, its zip, and what of it is loaded already."""

    arguments: dict[str, Any]
    archive: bytes
    loaded: dict[str, TargetModule]
    interpreter: TargetModules


def prepare(payload: bytes, modules: TargetModules) -> PreparedModule | None:
    """Read a payload; None where it is not of the shape that this code knows."""
    _, found, call = payload.rpartition(_CALL)
    if not found:
        return None
    try:
        arguments = _arguments(call)
        if arguments is None:
            return None
        archive = base64.b64decode(arguments["zip_data"])
        with zipfile.ZipFile(io.BytesIO(archive)) as opened:
            checksums = {entry.filename: entry.CRC for entry in opened.infolist()}
    except (SyntaxError, ValueError, TypeError, NameError, binascii.Error, zipfile.BadZipFile):
        return None
    return PreparedModule(arguments, archive, _loaded(checksums, modules), modules)


def _arguments(call: bytes) -> dict[str, Any] | None:
    """Return the arguments of the wrapper's call, which Ansible wrote as literals (and a ``datetime``)."""
    arguments: dict[str, Any] = {}
    # What the text names: a module, and what is here to take the arguments.
    scope = {"__builtins__": {}, "datetime": dt, "take": arguments.update}
    text = b"take(\n" + call.rstrip()[:-1] + b")"
    exec(compile(text, "<payload>", "exec"), scope)  # noqa: S102 - what Ansible wrote for an interpreter
    well_formed = set(arguments) == _ARGUMENTS and isinstance(arguments["date_time"], dt.datetime)
    return arguments if well_formed and not arguments["extensions"] else None


def _loaded(checksums: dict[str, int], modules: TargetModules) -> dict[str, TargetModule]:
    """Return what of a zip is loaded already: all that is the same, or nothing where any of it differs.

    One that says something when it is imported says it to the module that imports it, as ever, so it is not shared,
    nor what may have imported it. What differs may be imported by what is the same, so that half of it would be the
    wrong half. A package that does nothing differs in a zip, where its file is empty or extends its path: that one is
    taken from the zip.
    """
    same: dict[str, TargetModule] = {}
    if not modules.talkative.isdisjoint(checksums):
        return same
    for name, checksum in checksums.items():
        loaded = modules.by_file.get(name)
        if loaded and loaded.checksum == checksum:
            same[name] = loaded
        elif loaded and not name.endswith("/__init__.py"):
            return {}
    return same


def run(module: PreparedModule, environment: dict[str, str], cwd: str | None, stdout: int, stderr: int) -> NoReturn:
    """Become the module's process: run it in the directory ``cwd`` (None: this one) and end."""
    code = 1
    try:
        if cwd is not None:
            os.chdir(cwd)
        _become_new(environment, stdout, stderr)
        module.interpreter.interpreter.install()
        code = _run(module)
    except SystemExit as end:
        code = _exit_code(end)
    except BaseException:  # noqa: BLE001 - above this frame is another program
        traceback.print_exc()
    finally:
        _exit(code)


def _become_new(environment: dict[str, str], stdout: int, stderr: int) -> None:
    """Make everything that a new interpreter has its own of as it is in one."""
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing, end = os.pipe()
    os.close(end)
    for standard, descriptor in enumerate((nothing, stdout, stderr)):
        os.dup2(descriptor, standard)
    process.close_all_but(frozenset())
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", encoding="utf-8", closefd=False)  # type: ignore[misc]  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(  # type: ignore[misc]  # noqa: SIM115
        2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
    )
    sys.excepthook = sys.__excepthook__
    os.environ.update(environment)
    atexit._clear()  # noqa: SLF001 - what is registered is the play's
    logging.root.handlers.clear()
    setattr(multiprocessing.process, _CURRENT_PROCESS, _MAIN_PROCESS)
    locale.setlocale(locale.LC_ALL, "C")
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "")
    gc.freeze()
    gc.enable()


def _run(module: PreparedModule) -> int:
    """Do what the payload's wrapper does (``ansible/_internal/_ansiballz/_wrapper.py``, ansible-core 2.19 to 2.21)."""
    arguments = module.arguments
    _limit_open_files(arguments["rlimit_nofile"])
    sys.argv = [""]
    sys.modules["__main__"] = ModuleType("__main__")
    # Kept, because to take it all apart takes longer than most modules do.
    kept = take_away(), take_away(("runner",))
    name = arguments["ansible_module"]
    with tempfile.TemporaryDirectory(prefix=f"ansible_{name}_payload_", ignore_cleanup_errors=True) as directory:
        archive = f"{os.path.realpath(directory)}/ansible_{name}_payload.zip"
        Path(archive).write_bytes(module.archive)
        sys.path.insert(0, archive)
        _install_loaded(module.loaded, archive)
        importlib.import_module(_LOADER).run_module(
            json_params=arguments["params"].encode(),
            profile=arguments["profile"],
            module_fqn=arguments["module_fqn"],
            modlib_path=archive,
            extensions=arguments["extensions"],
        )
    del kept
    return 0


def _limit_open_files(wanted: int) -> None:
    if wanted:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        requested = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        if requested != soft:
            with contextlib.suppress(ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (requested, hard))


def _install_loaded(loaded: dict[str, TargetModule], archive: str) -> None:
    """Give this process the modules that are loaded, with everything around them coming from the zip."""
    names = {name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name for name in loaded}
    for name in sorted(names, key=lambda each: each.count(".")):
        parent, _, child = name.rpartition(".")
        if parent:
            package = importlib.import_module(parent)
            module = loaded[names[name]].module
            sys.modules[name] = module
            setattr(package, child, module)
            if names[name].endswith("/__init__.py"):
                module.__path__ = [f"{archive}/{name.replace('.', '/')}"]


def _exit_code(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return int(end.code or 0)
    sys.stderr.write(f"{end.code}\n")
    return 1


def _exit(code: int) -> NoReturn:
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as an interpreter ends
        atexit._run_exitfuncs()  # noqa: SLF001
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, ValueError):
                stream.flush()
    except OSError:
        code = code or 120
    finally:
        os._exit(code & 0xFF)
