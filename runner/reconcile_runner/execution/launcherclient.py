"""The operator's end of one launcher: start it, run a job in it, end it.

The process at the other end runs ``launcher``.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Self, cast

import orjson

from reconcile_runner.errors import ExecutionError
from reconcile_runner.execution import frames, rundeadline, tempdir
from reconcile_runner.execution.confinement import CONFINE
from reconcile_runner.execution.inherited import environment_of_runs
from reconcile_runner.execution.job import Job
from reconcile_runner.execution.jobevent import JobEvent, parse_event
from reconcile_runner.execution.processes import descendants_or_marked, kill_until_gone, living_descendants
from reconcile_runner.execution.rundeadline import RunDeadline

_STDERR_TAIL_BYTES: Final = 2000
"""The end of a launcher's stderr that is read when it has died."""

_TERMINATE_TIMEOUT: Final = 0.4
"""Seconds for a launcher to end after SIGTERM. Killing it takes time, too, and a run is to end within a second."""


class LauncherGoneError(ExecutionError):
    """The launcher has ended unexpectedly."""


@dataclass(frozen=True, slots=True)
class LauncherReport:
    """How a run ended: ansible-runner's ``status`` and the program's exit code.

    ``rc`` is None if the program was killed. ``stdout_callback`` is what the run's environment names as such.
    ``leaves_processes``: whether any of the run's processes live on below the launcher.
    """

    status: str
    rc: int | None
    stdout_callback: str = ""
    leaves_processes: bool = False


class LauncherClient:
    """One launcher, which runs one job at a time. ``end`` ends its run, too."""

    def __init__(self, process: asyncio.subprocess.Process, stderr: IO[bytes], temporary: Path | None) -> None:
        self._temporary = temporary
        self._process = process
        self._jobs = cast("asyncio.StreamWriter", process.stdin)
        self._reports = cast("asyncio.StreamReader", process.stdout)
        self._stderr = stderr
        self._job: str | None = None
        self._left_by: str | None = None

    @classmethod
    async def start(
        cls, temporary: Path | None, hidden: tuple[str, ...] | None = None, deadline: RunDeadline | None = None
    ) -> Self:
        """Start a launcher and wait until it is ready.

        Raises ``LauncherGoneError`` with its last line of stderr. ``temporary`` is the ``TMPDIR`` of its runs, which is
        made here and removed with the launcher. None: the operator's. ``hidden`` are the files that its runs must not
        read; None: they are not confined. ``deadline`` is that of all runs.
        """
        try:
            launcher = await cls._spawn(temporary, hidden, rundeadline.NONE if deadline is None else deadline.fileno())
        except OSError as error:
            raise LauncherGoneError(f"the launcher process cannot be started: {error}") from error
        try:
            await launcher.ready()
        except BaseException:
            await launcher.end()
            raise
        return launcher

    @classmethod
    async def _spawn(cls, temporary: Path | None, hidden: tuple[str, ...] | None, deadline: int) -> Self:
        with contextlib.ExitStack() as until_started:
            stderr = until_started.enter_context(tempfile.TemporaryFile())
            environment = environment_of_runs(os.environ)
            if temporary:
                tempdir.make(temporary)
                until_started.callback(tempdir.remove, str(temporary))
                environment[tempdir.VARIABLE] = str(temporary)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "reconcile_runner.execution.launcher",
                str(deadline),
                *(() if hidden is None else (CONFINE, *hidden)),
                pass_fds=rundeadline.descriptors(deadline),
                cwd="/",
                env=environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                # Ctrl-C in a terminal must reach the operator alone, which then ends its runs in order.
                start_new_session=True,
            )
            until_started.pop_all()
        return cls(process, stderr, temporary)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    async def ready(self) -> None:
        """Wait until the new launcher accepts jobs. Raises ``LauncherGoneError``."""
        await self._read()

    async def offer(self, job: Job, binary: str) -> bool:
        """Offer a job and return whether it was accepted.

        It is not while a process of an earlier run is still running. Raises ``LauncherGoneError`` if the launcher has
        ended; the job has not begun then.
        """
        self._job = job.ident
        self._write({**dataclasses.asdict(job), "binary": binary})
        accepted = bool((await self._read())["accepted"])
        if accepted:
            self._left_by = None
        else:
            self._job = None
        return accepted

    def holds_processes_of(self, job: str) -> bool:
        """Tell whether processes that this job has left may live below the launcher still."""
        return self._left_by == job and self._process.returncode is None

    async def watch(self, on_event: Callable[[JobEvent], None]) -> LauncherReport:
        """Wait for the end of the accepted job and pass on its events.

        Raises ``LauncherGoneError``.
        """
        while True:
            report = await self._read()
            if "event" in report:
                on_event(parse_event(report["event"]))
            else:
                result = LauncherReport(**report["result"])
                self._job, self._left_by = None, self._job if result.leaves_processes else None
                return result

    async def end(self) -> None:
        """End the launcher and all processes below it, and wait until they have ended."""
        job, pid = self._job, self._process.pid
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(_TERMINATE_TIMEOUT):
                    await self._process.wait()
            except TimeoutError:
                await asyncio.to_thread(_kill, pid)
        await self._process.wait()
        if job is not None:
            # A launcher that was killed has not ended its run.
            await asyncio.to_thread(kill_until_gone, lambda: descendants_or_marked(job))
        await self._clean_up()

    async def wait_until_gone(self) -> None:
        """Wait until a launcher that accepts no more jobs has ended by itself."""
        await self._process.wait()
        await self._clean_up()

    async def _clean_up(self) -> None:
        self._stderr.close()
        if self._temporary:
            await asyncio.to_thread(tempdir.remove, str(self._temporary))

    def _write(self, message: dict[str, Any]) -> None:
        body = orjson.dumps(message, default=os.fspath)
        self._jobs.write(frames.header(body) + body)

    async def _read(self) -> dict[str, Any]:
        try:
            header = await self._reports.readexactly(frames.HEADER_BYTES)
            body = await self._reports.readexactly(frames.body_length(header))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise await self._gone_error() from error
        return _decode(body)

    async def _gone_error(self) -> LauncherGoneError:
        code = await self._process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        line = self._last_stderr_line()
        return LauncherGoneError(f"the launcher process {how}" + (f": {line}" if line else ""))

    def _last_stderr_line(self) -> str:
        if self._stderr.closed:
            return ""
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - _STDERR_TAIL_BYTES))
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""


def _decode(body: bytes) -> dict[str, Any]:
    try:
        decoded: dict[str, Any] = orjson.loads(body)
    except orjson.JSONDecodeError:
        decoded = json.loads(body)  # NaN and Infinity, which a module may return
    return decoded


def _kill(pid: int) -> None:
    """Kill a launcher that hangs.

    It is stopped first, so that it starts nothing and stays its orphans' parent.
    """
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        kill_until_gone(lambda: living_descendants(pid))
        os.kill(pid, signal.SIGKILL)
