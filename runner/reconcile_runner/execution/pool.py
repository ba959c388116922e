"""Engines and the pool of launchers that each of them has.

Every engine runs a job in a launcher, which drives ansible-runner. Engines differ in one thing: the program that
ansible-runner starts in place of ``ansible-playbook`` (its ``binary``).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Protocol

from reconcile_runner.clock import Clock, SystemClock
from reconcile_runner.errors import ConfigError
from reconcile_runner.execution import tempdir
from reconcile_runner.execution.installation import ansible_playbook
from reconcile_runner.execution.job import Job, RunResult
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.launcherclient import LauncherClient, LauncherGoneError, LauncherReport
from reconcile_runner.execution.remains import RemainingProcesses
from reconcile_runner.execution.result import ResultBuilder
from reconcile_runner.execution.rundeadline import RunDeadline
from reconcile_runner.execution.rundir import RunDir
from reconcile_runner.logs import get_logger

_log = get_logger(__name__)


class Engine(Protocol):
    """Runs jobs, any number at once."""

    async def start(self) -> None:
        """Start the engine. Raises ``ConfigError`` if no run could ever start."""

    async def run(self, job: Job, on_event: Callable[[JobEvent], None]) -> RunResult:
        """Run a job and return its result.

        ``on_event`` gets the job's events in order and must not block. After the job's timeout, or when the
        caller is cancelled, every process of the run is killed. Raises ``ExecutionError`` if the run could not be
        started or was lost, which says nothing about the role.
        """

    async def end_remains(self, private_data_dir: Path) -> None:
        """End the processes that runs with this directory have left behind, and wait until they are gone.

        Those of a run also end when its job's timeout has passed since it began.
        """

    async def stop(self) -> None:
        """End all runs and every process of the engine."""


class SubprocessEngine:
    """Runs each job in an ``ansible-playbook`` process of its own.

    Implements ``Engine``. ``binary`` is the program that ansible-runner starts; None: the ``ansible-playbook`` beside
    this interpreter, else that of ``PATH``. ``hidden`` are the files that runs must not read; None: runs are not
    confined (``confinement``). ``deadline`` is that of all runs; None: they have none but their own.
    """

    def __init__(
        self,
        binary: Path | None = None,
        clock: Clock | None = None,
        hidden: tuple[str, ...] | None = None,
        deadline: RunDeadline | None = None,
    ) -> None:
        program = str(binary) if binary else ansible_playbook()
        self._pool = LauncherPool(program, clock, hidden=hidden, deadline=deadline)

    async def start(self) -> None:
        """Start the pool; see ``Engine.start``."""
        await self._pool.start()

    async def run(self, job: Job, on_event: Callable[[JobEvent], None]) -> RunResult:
        """Run a job; see ``Engine.run``."""
        return await self._pool.run(job, on_event)

    async def end_remains(self, private_data_dir: Path) -> None:
        """End what runs have left; see ``Engine.end_remains``."""
        await self._pool.remains.end_of(private_data_dir)

    async def stop(self) -> None:
        """Stop the pool; see ``Engine.stop``."""
        await self._pool.stop()


class LauncherPool:
    """Runs jobs in launchers, started as they are needed and reused from job to job.

    ``binary`` is the program that ansible-runner starts in place of ``ansible-playbook``, a path or a name to be found
    in ``PATH``. ``temporary`` is the directory in which each launcher gets its ``TMPDIR``; None: the pool makes one.
    ``hidden`` are the files that the program must not read; None: it is not confined. ``deadline`` is that of all runs.
    ``remains`` knows the processes that its runs have left.
    """

    def __init__(
        self,
        binary: str,
        clock: Clock | None = None,
        temporary: Path | None = None,
        hidden: tuple[str, ...] | None = None,
        deadline: RunDeadline | None = None,
    ) -> None:
        self._hidden = hidden
        self._deadline = deadline
        self._binary = binary
        self._clock = clock or SystemClock()
        self.remains = RemainingProcesses(self._clock)
        self._idle: list[LauncherClient] = []
        self._busy: set[LauncherClient] = set()
        self._retired: set[LauncherClient] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._temporary = temporary
        self._own_temporary: RunDir | None = None
        self._numbers = itertools.count()

    async def start(self) -> None:
        """Start the first launcher.

        Raises ``ConfigError`` if the program or ansible-runner is missing.
        """
        if shutil.which(self._binary) is None:
            raise ConfigError(f"{self._binary} was not found, or cannot be executed: install ansible-core")
        try:
            self._idle.append(await self._start_launcher())
        except LauncherGoneError as error:
            raise ConfigError(f"ansible-runner cannot be started: {error}") from error

    async def run(self, job: Job, on_event: Callable[[JobEvent], None]) -> RunResult:
        """Run a job; see ``Engine.run``."""
        result = ResultBuilder()

        def on_each(event: JobEvent) -> None:
            result.add(event)
            on_event(event)

        started, timeout = self._clock.monotonic(), job.settings.timeout
        try:
            async with asyncio.timeout(timeout) as limit:
                report, launcher = await self._run_in_launcher(job, on_each)
        except TimeoutError:
            if timeout is None or not limit.expired():
                raise
            return result.timed_out(timeout, self._clock.monotonic() - started)
        duration = self._clock.monotonic() - started
        if report.leaves_processes:
            left_by = partial(launcher.holds_processes_of, job.ident)
            self.remains.add(job, duration, left_by, partial(self._end, launcher))
        return result.finished(report, duration)

    async def stop(self) -> None:
        """End every launcher and its run. May be called twice."""
        self.remains.close()
        launchers = [*self._idle, *self._busy, *self._retired]
        self._idle.clear()
        await asyncio.gather(*(self._end(launcher) for launcher in launchers))
        while self._tasks:
            await asyncio.wait(self._tasks)
        if self._own_temporary:
            self._own_temporary.close()
            self._own_temporary = self._temporary = None

    async def _run_in_launcher(
        self, job: Job, on_event: Callable[[JobEvent], None]
    ) -> tuple[LauncherReport, LauncherClient]:
        launcher = await self._launcher_for(job)
        try:
            report = await launcher.watch(on_event)
        except BaseException:
            await self._end(launcher)
            raise
        self._busy.discard(launcher)
        self._idle.append(launcher)
        return report, launcher

    async def _launcher_for(self, job: Job) -> LauncherClient:
        """Return a launcher that has accepted the job, an idle one if possible."""
        while self._idle:
            launcher = self._idle.pop()
            try:
                if await self._offer(launcher, job):
                    return launcher
            except LauncherGoneError:
                continue
            self._retire(launcher)
        launcher = await self._start_launcher()
        await self._offer(launcher, job)
        return launcher

    async def _start_launcher(self) -> LauncherClient:
        if self._temporary is None:
            try:
                self._own_temporary = RunDir.make_in(Path(tempfile.gettempdir()))
            except OSError as error:
                raise LauncherGoneError(f"no directory for temporary files can be made: {error}") from error
            self._temporary = self._own_temporary.path
        temporary = self._temporary / str(next(self._numbers))
        if tempdir.is_too_long(temporary):
            _log.warning("no TMPDIR per run: its path would be too long for a socket", path=str(temporary))
            return await LauncherClient.start(None, self._hidden, self._deadline)
        return await LauncherClient.start(temporary, self._hidden, self._deadline)

    async def _offer(self, launcher: LauncherClient, job: Job) -> bool:
        self._busy.add(launcher)
        try:
            return await launcher.offer(job, self._binary)
        except BaseException:
            await self._end(launcher)
            raise

    def _retire(self, launcher: LauncherClient) -> None:
        """Keep a launcher that accepts no more jobs until it ends.

        Processes of its last run are still running.
        """
        self._busy.discard(launcher)
        self._retired.add(launcher)
        self._own(launcher.wait_until_gone(), f"launcher-retired-{launcher.pid}").add_done_callback(
            lambda _: self._retired.discard(launcher)
        )

    async def _end(self, launcher: LauncherClient) -> None:
        """End a launcher.

        Completes even if the caller is cancelled, so that no run is left half ended.
        """
        self._busy.discard(launcher)
        with contextlib.suppress(ValueError):
            self._idle.remove(launcher)
        await asyncio.shield(self._own(launcher.end(), f"launcher-end-{launcher.pid}"))

    def _own(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
