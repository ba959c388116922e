"""The operator's end of one launcher: start it, give it a job, read its reports, end it.

``pool`` keeps a pool of these; the process at the other end is ``launcher``.
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
from typing import IO, Any, Self, cast

import orjson

from reconcile_runner.errors import ExecutionError
from reconcile_runner.execution import frames, tempdir
from reconcile_runner.execution.job import Job
from reconcile_runner.execution.jobevent import JobEvent, parse_event
from reconcile_runner.execution.processes import descendants_or_marked, kill_until_gone, living_descendants

_STDERR_TAIL = 2000
"""Bytes of a launcher's last words that are read when it dies."""

_GRACE = 0.4
"""Seconds for a launcher to end by itself. A run must be gone within a second, and the hard way needs its share."""


class LauncherGoneError(ExecutionError):
    """The launcher ended unasked."""


@dataclass(frozen=True, slots=True)
class LauncherReport:
    """How a run ended, in ansible-runner's words: ``status``, and the program's exit code (None: it was killed)."""

    status: str
    rc: int | None


class LauncherClient:
    """One launcher. One job at a time; ``end`` takes a run that goes on with it."""

    def __init__(self, process: asyncio.subprocess.Process, stderr: IO[bytes], temporary: Path | None) -> None:
        self._temporary = temporary
        self._process = process
        self._jobs = cast("asyncio.StreamWriter", process.stdin)
        self._reports = cast("asyncio.StreamReader", process.stdout)
        self._stderr = stderr
        self._job: str | None = None

    @classmethod
    async def start(cls, temporary: Path | None) -> Self:
        """Start a launcher and wait until it is ready. Raises ``LauncherGoneError`` with its last words.

        ``temporary`` is the ``TMPDIR`` of its runs, made here and removed with the launcher; None: the operator's.
        """
        try:
            launcher = await cls._spawn(temporary)
        except OSError as error:
            raise LauncherGoneError(f"the launcher process cannot be started: {error}") from error
        try:
            await launcher.ready()
        except BaseException:
            await launcher.end()
            raise
        return launcher

    @classmethod
    async def _spawn(cls, temporary: Path | None) -> Self:
        with contextlib.ExitStack() as until_started:
            stderr = until_started.enter_context(tempfile.TemporaryFile())
            environment = dict(os.environ)
            if temporary:
                tempdir.make(temporary)
                until_started.callback(tempdir.remove, str(temporary))
                environment[tempdir.VARIABLE] = str(temporary)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "reconcile_runner.execution.launcher",
                cwd="/",
                env=environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                # A terminal's Ctrl-C is for the operator, which then ends its runs in order.
                start_new_session=True,
            )
            until_started.pop_all()
        return cls(process, stderr, temporary)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    async def ready(self) -> None:
        """Wait until the new launcher takes jobs. Raises ``LauncherGoneError``."""
        await self._read()

    async def offer(self, job: Job, binary: str) -> bool:
        """Offer a job. False: something of an earlier run still lives there, so it takes no other run.

        Raises ``LauncherGoneError`` where the launcher is gone; the job was not begun then.
        """
        self._job = job.ident
        self._write({**dataclasses.asdict(job), "binary": binary})
        accepted = bool((await self._read())["accepted"])
        if not accepted:
            self._job = None
        return accepted

    async def watch(self, on_event: Callable[[JobEvent], None]) -> LauncherReport:
        """Wait for the end of the job that was taken, telling its events. Raises ``LauncherGoneError``."""
        while True:
            report = await self._read()
            if "event" in report:
                on_event(parse_event(report["event"]))
            else:
                self._job = None
                return LauncherReport(**report["result"])

    async def end(self) -> None:
        """End the launcher and everything below it; done when all of it is gone."""
        job, pid = self._job, self._process.pid
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
            try:
                async with asyncio.timeout(_GRACE):
                    await self._process.wait()
            except TimeoutError:
                await asyncio.to_thread(_end_by_force, pid)
        await self._process.wait()
        if job is not None:
            # A launcher that was killed could not take its run along.
            await asyncio.to_thread(kill_until_gone, lambda: descendants_or_marked(job))
        await self._clean_up()

    async def wait_until_gone(self) -> None:
        """Wait until a launcher that takes no more jobs has ended by itself."""
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
            raise await self._gone() from error
        return _decode(body)

    async def _gone(self) -> LauncherGoneError:
        code = await self._process.wait()
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        words = self._last_words()
        return LauncherGoneError(f"the launcher process {how}" + (f": {words}" if words else ""))

    def _last_words(self) -> str:
        if self._stderr.closed:
            return ""
        self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, self._stderr.tell() - _STDERR_TAIL))
        lines = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else ""


def _decode(body: bytes) -> dict[str, Any]:
    try:
        decoded: dict[str, Any] = orjson.loads(body)
    except orjson.JSONDecodeError:
        decoded = json.loads(body)  # NaN and Infinity, which a module may return
    return decoded


def _end_by_force(pid: int) -> None:
    """End a launcher that does not listen: stopped first, so that it starts nothing and stays its orphans' parent."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        kill_until_gone(lambda: living_descendants(pid))
        os.kill(pid, signal.SIGKILL)
