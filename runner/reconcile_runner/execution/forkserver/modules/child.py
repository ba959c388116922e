"""The process of one module: a fork made like a new interpreter.

``parse`` and ``is_archive`` check a payload, in the play; ``run`` runs it, in the fork.
"""

from __future__ import annotations

import ast
import atexit
import base64
import binascii
import contextlib
import functools
import gc
import importlib
import io
import locale
import logging
import multiprocessing.context
import multiprocessing.process
import os
import re
import resource
import runpy
import shutil
import signal
import sys
import tempfile
import threading
import traceback
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Final, NoReturn, TextIO

from reconcile_runner.execution import processes, tempdir
from reconcile_runner.execution.forkserver import importedstate
from reconcile_runner.execution.forkserver.importedstate import ReadVariables
from reconcile_runner.execution.forkserver.modules import archives
from reconcile_runner.execution.forkserver.modules.archives import Archives
from reconcile_runner.execution.forkserver.modules.preload import TargetModules


@dataclass(frozen=True, slots=True)
class Stream:
    """How an interpreter opens a standard stream, which its environment says."""

    encoding: str
    errors: str | None
    is_unbuffered: bool

    @classmethod
    def of(cls, stream: TextIO) -> Stream:
        """Return it for a stream that is open."""
        return cls(stream.encoding, stream.errors, isinstance(stream.buffer, io.RawIOBase))

    def open(self, descriptor: int) -> TextIO:
        """Return such a stream of a descriptor that is no terminal."""
        mode, buffering = "rb" if descriptor == 0 else "wb", 0 if self.is_unbuffered else -1
        return io.TextIOWrapper(
            open(descriptor, mode, buffering, closefd=False),
            encoding=self.encoding,
            errors=self.errors,
            newline="\n",
            line_buffering=descriptor == _STDERR and not self.is_unbuffered,
            write_through=self.is_unbuffered,
        )


_STDERR: Final = 2
_CALL = b'\n\nif __name__ == "__main__":\n    _ansiballz_main(\n'
_ARGUMENT: Final = re.compile(rb"(\w+)=(.*),")
_ARGUMENTS = frozenset(
    {"ansible_module", "module_fqn", "profile", "date_time", "rlimit_nofile", "params", "extensions", "zip_data"}
)
_PLACE: Final = re.compile(r"%\((?P<name>\w+)\)[sdr]")
"""A place in a template that Ansible fills."""

_VALUES: Final = {
    "ansible_module": r"'[^'\n]*'",
    "module_fqn": r"'[^'\n]*'",
    "params": r"[^\n]*",
    "zipdata": r"['\"]*[A-Za-z0-9+/=]*['\"]*",
}
"""What is read of a payload, by the name of its place, as Python writes it."""

_CALLS: Final = (
    b"\n    _ansiballz_main()",
    b"\n            invoke_module(zipped_mod, temp_path",
    b"\n        runpy.run_module(mod_name=",
)
"""The calls that a module's traceback begins with, each once in a payload."""

_STDIN: Final = "<stdin>"
_LEFT_OUT: Final = frozenset({"coverage", "rlimit"})
"""The places that are empty unless a setting asks for more."""

_TMPDIR_PREFIX: Final = "ansible-moduletmp-"
_PARAMETERS = "_ANSIBLE_ARGS"
_STREAMS: Final = {name: Stream.of(getattr(sys, f"__{name}__")) for name in ("stdin", "stdout", "stderr")}
"""The streams of this interpreter. Ansible changes them in the controller's process."""

_CURRENT_PROCESS = "_current_process"
_DEFAULT_CONTEXT, _CHOSEN_CONTEXT = "_default_context", "_actual_context"
_MAIN_PROCESS = multiprocessing.process.current_process()
"""The zygote's process object, which imports this: a worker's is a daemon, which may have no children."""


@dataclass(frozen=True, slots=True)
class Module:
    """What a payload runs.

    ``zip_data`` is in base64. ``calls`` is known before ansible-core 2.19, and ``profile`` is empty there: the lines in
    which the wrapper calls its main function, that calls the one that runs the module, and that calls the module.
    """

    name: str
    full_name: str
    profile: str
    params: str
    open_files: int
    zip_data: bytes
    calls: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a module's process inherits from its worker."""

    environment: Mapping[bytes, bytes]
    cwd: bytes
    umask: int


@dataclass(frozen=True, slots=True)
class Stock:
    """What is loaded before a module's process starts, and the variables that were read then."""

    target: TargetModules
    archives: Archives
    read: ReadVariables = field(default_factory=dict)


def parse(payload: bytes, template: str | None = None) -> Module | None:
    """Parse a payload; None if it is not in the format of ansible-core 2.16 to 2.21.

    ``template`` is the text that Ansible made it of; None since ansible-core 2.19, where it ends with a call.
    """
    return _parse_template(payload, template) if template else _parse_call(payload)


def _parse_template(payload: bytes, template: str) -> Module | None:
    found = _pattern(template).fullmatch(payload)
    if found is None:
        return None
    try:
        return Module(
            name=_text(found["ansible_module"]),
            full_name=_text(found["module_fqn"]),
            profile="",
            params=_text(found["params"]),
            open_files=0,
            zip_data=found["zipdata"].strip(b"'\""),
            calls=_calls(payload),
        )
    except (SyntaxError, ValueError):
        return None


def _calls(payload: bytes) -> tuple[int, int, int]:
    """Return the lines of ``Module.calls``. Raises ``ValueError``."""
    main, runs, module = (_line_of(payload, text) for text in _CALLS)
    return main, runs, module


def _line_of(payload: bytes, text: bytes) -> int:
    """Return the line that is a text, which begins with the end of the line before. Raises ``ValueError``."""
    return payload.count(b"\n", 0, payload.index(text) + 1) + 1


@functools.cache
def _pattern(template: str) -> re.Pattern[bytes]:
    """Return the pattern of the payloads that a template makes, without a limit of open files and without coverage."""
    pieces: list[str] = []
    known: set[str] = set()
    end = 0
    for place in _PLACE.finditer(template):
        pieces.append(re.escape(template[end : place.start()].replace("%%", "%")))
        name, end = place["name"], place.end()
        if name in _VALUES and name not in known:
            known.add(name)
            pieces.append(f"(?P<{name}>{_VALUES[name]})")
        elif name not in _LEFT_OUT:
            pieces.append(r"[^\n]*")
    pieces.append(re.escape(template[end:].replace("%%", "%")))
    return re.compile("".join(pieces).encode())


def _parse_call(payload: bytes) -> Module | None:
    _, found, call = payload.rpartition(_CALL)
    if not found:
        return None
    lines = [_ARGUMENT.fullmatch(line) for line in call.removesuffix(b"\n)\n").split(b"\n")]
    arguments = {line[1].decode(): line[2] for line in lines if line}
    if set(arguments) != _ARGUMENTS or len(lines) != len(_ARGUMENTS) or arguments["extensions"] != b"{}":
        return None
    try:
        return Module(
            name=_text(arguments["ansible_module"]),
            full_name=_text(arguments["module_fqn"]),
            profile=_text(arguments["profile"]),
            params=_text(arguments["params"]),
            open_files=int(arguments["rlimit_nofile"]),
            # A long literal without escapes: cut out, not parsed.
            zip_data=arguments["zip_data"].removeprefix(b"'").removesuffix(b"'"),
        )
    except (SyntaxError, ValueError):
        return None


def _text(literal: bytes) -> str:
    return str(ast.literal_eval(literal.decode()))


def is_archive(zip_data: bytes) -> bool:
    """Return whether a payload's zip can be read."""
    try:
        archives.checksums(base64.b64decode(zip_data, validate=True))
    except (binascii.Error, ValueError, zipfile.BadZipFile):
        return False
    return True


def run(module: Module, surroundings: Surroundings, stock: Stock, stdout: int, stderr: int) -> NoReturn:
    """Become the module's process, run it and exit.

    This process has the target's import system.
    """
    code = 1
    try:
        _reset_process(surroundings, stdout, stderr)
        code = _run(module, stock)
    except SystemExit as end:
        code = _exit_code(end)
    except BaseException as error:  # noqa: BLE001 - above this frame is another program
        traceback.print_exception(error.with_traceback(_of_payload(error.__traceback__)))
    finally:
        _exit(code)


def _reset_process(surroundings: Surroundings, stdout: int, stderr: int) -> None:
    """Set descriptors, signals and all else as a new interpreter has them."""
    with contextlib.suppress(ValueError):
        signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.setsid()
    processes.offer_to_oom_killer()
    os.chdir(surroundings.cwd)
    os.umask(surroundings.umask)
    nothing, end = os.pipe()
    os.close(end)
    for standard, descriptor in enumerate((nothing, stdout, stderr)):
        os.dup2(descriptor, standard)
    processes.close_all_but(frozenset())
    for descriptor, (name, ordinary) in enumerate(_STREAMS.items()):
        stream = ordinary.open(descriptor)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.excepthook = sys.__excepthook__
    os.environ.clear()
    os.environb.update(surroundings.environment)
    importedstate.compute_again()
    tempfile.tempdir = None
    logging.root.handlers.clear()
    setattr(multiprocessing.process, _CURRENT_PROCESS, _MAIN_PROCESS)
    # A lock that ansible-core 2.16 makes when it is imported has chosen one, and a module could choose none.
    setattr(getattr(multiprocessing.context, _DEFAULT_CONTEXT), _CHOSEN_CONTEXT, None)
    _adopt_temporary_directories()
    locale.setlocale(locale.LC_ALL, "C")
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "")
    gc.freeze()
    gc.enable()


def _adopt_temporary_directories() -> None:
    """Have the directory of ``AnsibleModule.tmpdir`` removed with the run.

    The module does not remove it if it is killed.
    """
    ordinary = tempfile.mkdtemp

    def mkdtemp(suffix: str | None = None, prefix: str | None = None, dir: str | None = None) -> str:  # noqa: A002
        made = ordinary(suffix, prefix, dir)
        if prefix is not None and prefix.startswith(_TMPDIR_PREFIX):
            tempdir.adopt(made)
            atexit.register(tempdir.forget, made)
        return made

    tempfile.mkdtemp = mkdtemp  # type: ignore[assignment]


def _run(module: Module, stock: Stock) -> int:
    """Do what the payload's wrapper does.

    Source: ``ansible/_internal/_ansiballz/_wrapper.py`` of ansible-core 2.19 to 2.21.
    """
    _limit_open_files(module.open_files)
    sys.argv = [""]
    sys.orig_argv = [sys.executable]
    sys.modules["__main__"] = ModuleType("__main__")
    known = stock.archives.find(module.zip_data)
    if known:
        known.install(stock.target)
        _run_from(module, known.path)
        return 0
    directory = tempfile.mkdtemp(prefix=f"ansible_{module.name}_payload_")
    try:
        archive = f"{os.path.realpath(directory)}/ansible_{module.name}_payload.zip"
        content = base64.b64decode(module.zip_data)
        Path(archive).write_bytes(content)
        archives.link(archive, archives.loaded(archives.checksums(content), stock.target), stock.target)
        _run_from(module, archive)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return 0


def _run_from(module: Module, archive: str) -> None:
    if module.calls:
        _run_with_basic(module, module.calls, archive)
    importlib.import_module(archives.LOADER).run_module(
        json_params=module.params.encode(),
        profile=module.profile,
        module_fqn=module.full_name,
        modlib_path=archive,
        extensions={},
    )


def _run_with_basic(module: Module, calls: tuple[int, int, int], archive: str) -> NoReturn:
    """Do what the wrapper does before ansible-core 2.19: its ``invoke_module``.

    The module is called from functions of the wrapper's names, in its lines: a traceback is that of a module whose
    payload came by standard input.
    """
    basic = importlib.import_module(archives.BASIC)
    setattr(basic, _PARAMETERS, module.params.encode())
    lines = ["def _ansiballz_main():", "    def invoke_module():", *[""] * (max(calls) - 2)]
    texts = ("_ansiballz_main()", "    invoke_module()", "        runpy.run_module(module, known, '__main__', True)")
    for line, text in zip(calls, texts, strict=True):
        lines[line - 1] = text
    known = {"_module_fqn": module.full_name, "_modlib_path": archive}
    wrapper = compile("\n".join(lines), _STDIN, "exec")
    exec(wrapper, {"runpy": runpy, "module": module.full_name, "known": known})  # noqa: S102 - the text is above
    sys.stdout.write('{"msg": "New-style module did not handle its own exit", "failed": true}\n')
    sys.exit(1)


def _of_payload(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from the first call of a payload on, as its interpreter prints it; all where there is none."""
    found = trace
    while found is not None and found.tb_frame.f_code.co_filename != _STDIN:
        found = found.tb_next
    return found or trace


def _limit_open_files(wanted: int) -> None:
    if wanted:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        requested = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        if requested != soft:
            with contextlib.suppress(ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (requested, hard))


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
