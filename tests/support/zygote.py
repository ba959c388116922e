"""A process that holds what is slow to import, and forks for each call, which saves the start of an interpreter.

A call sees an environment, a working directory and a standard input of its own, and what it changes ends with it.
Modules that look at the environment when they are imported have seen the zygote's, not the call's.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import io
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from typing import IO, Any, NoReturn

from tests.support.paths import REPOSITORY


class Zygote:
    """Such a process, started with the first call and ended with the tests; another one for a call during a call."""

    def __init__(self, prepare: str, environment: Mapping[str, str]) -> None:
        """``prepare``: the function (`package.module:name`) that imports what calls need."""
        self._prepare = prepare
        self._environment = dict(environment)
        self._idle: list[subprocess.Popen[bytes]] = []

    def call(
        self, function: str, *arguments: object, environment: Mapping[str, str], cwd: str, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Call a function (`package.module:name`) in a fork, with arguments that JSON can hold.

        Return its exit code, 0 where it returned, and what it wrote. Raises ``TimeoutExpired``: the call was ended.
        """
        process = self._idle.pop() if self._idle else self._start()
        request = {"function": function, "arguments": arguments, "environment": dict(environment), "cwd": cwd}
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], timeout)[0]:
            _end(process)
            raise subprocess.TimeoutExpired(function, timeout)
        answer = process.stdout.readline()
        assert answer, f"the zygote ended; it said on stderr why, preparing {self._prepare}"
        code, out, err = json.loads(answer)
        self._idle.append(process)
        return subprocess.CompletedProcess(function, code, out, err)

    def _start(self) -> subprocess.Popen[bytes]:
        # Not in the repository's directory, where Ansible would find a configuration.
        path = os.pathsep.join([str(REPOSITORY), self._environment.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, self._prepare],
            cwd="/", env={**self._environment, "PYTHONPATH": path}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        atexit.register(_end, process)
        return process

    def stop(self) -> None:
        """End the processes that wait for a call."""
        while self._idle:
            _end(self._idle.pop())


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with the call it may be at. Once more is no harm."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def resolve(name: str) -> Any:
    """Return the function of a name such as ``package.module:name``."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def main() -> None:
    """Serve: a line of JSON with a call on stdin, a line with its answer on stdout."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    requests = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    resolve(sys.argv[1])()
    for line in requests:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            pid = os.fork()
            if pid == 0:
                _serve(json.loads(line), out, err)
            _, status = os.waitpid(pid, 0)
            texts = [_text(file) for file in (out, err)]
        answers.write(json.dumps([os.waitstatus_to_exitcode(status), *texts]) + "\n")
        answers.flush()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _serve(request: Mapping[str, Any], out: IO[bytes], err: IO[bytes]) -> NoReturn:
    code = 1
    try:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["cwd"])
        tempfile.tempdir = None
        _call(resolve(request["function"]), request["arguments"])
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - above this frame is the process that was forked
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _call(function: Any, arguments: Sequence[object]) -> None:
    sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", write_through=True)
    function(*arguments)


if __name__ == "__main__":
    main()
