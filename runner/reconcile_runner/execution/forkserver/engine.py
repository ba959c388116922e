"""The engine ``forkserver``: runs are forks of a process with Ansible loaded.

It owns the server's process, restarts it when it dies, and keeps its listening socket, so that requests wait for the
next server. A run that the server's death ended raises ``RunLostError`` and can be retried.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Final

import orjson

from reconcile_runner.clock import Clock, SystemClock
from reconcile_runner.errors import ConfigError, ExecutionError, RunLostError
from reconcile_runner.execution import confinement, processes, rundeadline
from reconcile_runner.execution.forkserver import client, wire
from reconcile_runner.execution.forkserver.wire import Patience, ServerEvent
from reconcile_runner.execution.installation import Installation, ansible_playbook
from reconcile_runner.execution.job import Job, RunResult, RunStatus
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import LauncherPool
from reconcile_runner.execution.rundeadline import RunDeadline
from reconcile_runner.execution.rundir import RunDir
from reconcile_runner.logs import get_logger

TESTED_CORES: Final = ("2.16", "2.17", "2.18", "2.19", "2.20", "2.21")
"""The minor versions of ansible-core that this engine is tested with. It patches internals, which others may move."""

TESTED_PYTHONS: Final = ((3, 11), (3, 12), (3, 13))
"""The minor versions of Python that it is tested with."""

_PACKAGE: Final = "reconcile_runner"
_BOOTSTRAP: Final = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from reconcile_runner.execution.forkserver import server
server.main()
"""
"""Starts the server, with the directory that holds this package as first argument."""

_TRIAL: Final = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from reconcile_runner.execution.forkserver import server, zygote
"""
"""Loads the code of the server and of its zygotes, without Ansible."""

_TRIAL_TIMEOUT: Final = 30.0
"""Seconds for ``_TRIAL``."""

_MAX_CRASHES: Final = 5
_CRASH_PERIOD: Final = 60.0
"""Seconds: a server that ends ``_MAX_CRASHES`` times in them is disabled, and runs start ``ansible-playbook``."""

DEFAULT_PATIENCE: Final = Patience()
"""How long the processes of an engine wait for each other, where nothing else is said."""

_MAX_SILENT_WAITS: Final = 2
"""A server that gives no sign of life in so many waits hangs. In one wait it may be this process that was stopped."""

_STOP_TIMEOUT: Final = 3.0
"""Seconds for the server or a run's processes to end."""

_log = get_logger(__name__)


def unsupported(installation: Installation) -> str | None:
    """Return why this engine cannot be used here with an ``ansible-playbook``, None if it can.

    Blocks if that is another environment's: its Python is asked.
    """
    if sys.platform != "linux":
        return f"it needs Linux, this is {sys.platform}"
    return _untested(installation) or _incapable_system() or _not_startable(installation)


def _untested(installation: Installation) -> str | None:
    core, python = installation.core, installation.python
    if not core:
        return "ansible-core is not installed beside this Python"
    if not any(re.match(rf"{re.escape(tested)}\.\d+$", core) for tested in TESTED_CORES):
        return f"it is tested with ansible-core {', '.join(TESTED_CORES)}, found {core}"
    if python not in TESTED_PYTHONS:
        tested = ", ".join(f"{major}.{minor}" for major, minor in TESTED_PYTHONS)
        return f"it is tested with Python {tested}, found {python[0]}.{python[1]}"
    return None


def _incapable_system() -> str | None:
    try:
        os.close(os.pidfd_open(os.getpid()))
        processes.children()
    except OSError as error:
        return f"it needs pidfd_open(2) and /proc/<pid>/task/<tid>/children of the kernel: {error.strerror}"
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).chmod(0o700)
        if not os.access(file.name, os.X_OK):
            return f"no program can be started from {tempfile.gettempdir()} (noexec); TMPDIR chooses another directory"
    return None


def _not_startable(installation: Installation) -> str | None:
    """Return why the server cannot be started in an installation's Python, None if it can."""
    program = shutil.which(installation.program)
    if program is None:
        return None  # ``start`` says so
    if not installation.is_of(interpreter_of(program) or ""):
        return f"{program} does not run in {installation.interpreter}"
    return None if installation.is_own else _not_loadable(installation.interpreter)


def _not_loadable(interpreter: str) -> str | None:
    """Return why the server's code cannot be loaded by another Python, None if it can."""
    with tempfile.TemporaryDirectory() as directory:
        _link_package(Path(directory))
        command = [interpreter, "-P", "-c", _TRIAL, directory]
        try:
            tried = subprocess.run(
                command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=_TRIAL_TIMEOUT, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"its code cannot be loaded in {interpreter}: {error}"
    if tried.returncode == 0:
        return None
    last = (tried.stderr.strip() or f"exit code {tried.returncode}").splitlines()[-1]
    return f"its code cannot be loaded in {interpreter}: {last}"


def _link_package(directory: Path) -> None:
    """Have another Python find this package in a directory, and no other package of our environment."""
    (directory / _PACKAGE).symlink_to(str(resources.files(_PACKAGE)))


def interpreter_of(program: str) -> str | None:
    """Return the interpreter of a script's first line, None if there is none."""
    try:
        with Path(program).open("rb") as script:
            line = script.readline(4096)
    except OSError:
        return None
    return os.fsdecode(line.removeprefix(b"#!").strip()) if line.startswith(b"#!") else None


class ForkserverEngine:
    """Runs jobs in forks of a process that has Ansible loaded. Implements ``Engine``.

    ``ordinary`` is the ``ansible-playbook`` for runs that cannot be forked; None: as for ``SubprocessEngine``.
    ``sources`` are the roles and playbooks of the jobs, whose modules are prepared before the first run. ``hidden`` are
    the files that runs must not read; None: runs are not confined (``confinement``). ``deadline`` is that of all runs;
    None: they have none but their own. ``patience``: how long its processes wait for each other.
    """

    def __init__(
        self,
        ordinary: Path | None = None,
        clock: Clock | None = None,
        sources: tuple[Path, ...] = (),
        hidden: tuple[str, ...] | None = None,
        deadline: RunDeadline | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._hidden = hidden
        self._deadline = deadline
        self._patience = patience or DEFAULT_PATIENCE
        self._ordinary = str(ordinary) if ordinary else ansible_playbook()
        self._clock = clock or SystemClock()
        self._sources = sources
        self._interpreter = sys.executable
        self._home = Path()
        self._directory: RunDir | None = None
        self._pool: LauncherPool | None = None
        self._listener: socket.socket | None = None
        self._server: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._crashes: deque[float] = deque(maxlen=_MAX_CRASHES)

    async def start(self) -> None:
        """Start server and first launcher.

        Raises ``ConfigError`` if either cannot be started.
        """
        found = shutil.which(self._ordinary)
        if found is None:
            raise ConfigError(f"{self._ordinary} was not found, or cannot be executed: install ansible-core")
        interpreter = interpreter_of(found)
        if interpreter is None:
            raise ConfigError(f"{found} names no interpreter in its first line, which the engine forkserver needs")
        self._interpreter = interpreter
        program = self._make_home(found, interpreter)
        self._server = await self._start_server()
        self._watcher = asyncio.create_task(self._watch_server(), name="fork server")
        self._pool = LauncherPool(str(program), self._clock, self._home / "tmp", self._hidden, self._deadline)
        await self._pool.start()

    def _make_home(self, ordinary: str, interpreter: str) -> Path:
        """Make the private directory, with the socket, and return the client's path."""
        self._directory = RunDir.make_in(Path(tempfile.gettempdir()))
        self._home = self._directory.path
        for name in ("runs", "lost", "empty", "tmp", "lib"):
            (self._home / name).mkdir(mode=0o700)
        (self._home / "ansible-playbook").symlink_to(ordinary)
        (self._home / "patience").symlink_to(str(self._patience.answer))
        _link_package(self._home / "lib")
        confinement.keep(self._home, self._hidden)
        program = self._home / "client"
        program.touch(mode=0o700)
        program.write_text(f"#!{interpreter} -IS\n{Path(client.__file__).read_text('utf-8')}", encoding="utf-8")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._home / "socket"))
        self._listener.listen(1024)
        return program

    async def run(self, job: Job, on_event: Callable[[JobEvent], None]) -> RunResult:
        """Run a job; see ``Engine.run``."""
        if self._pool is None:
            raise ExecutionError("the engine has not been started")
        try:
            result = await self._pool.run(job, on_event)
        except BaseException:
            await asyncio.shield(self._end_run(job))
            raise
        if result.status is RunStatus.TIMED_OUT:
            await asyncio.shield(self._end_run(job))
        self._note_remains(self._pool, job, result.duration)
        if result.status is RunStatus.FAILED and self._was_lost(job):
            raise RunLostError("fork server crashed during the run, which is retried")
        return result

    async def end_remains(self, private_data_dir: Path) -> None:
        """End what runs have left; see ``Engine.end_remains``."""
        if self._pool:
            await self._pool.remains.end_of(private_data_dir)

    async def stop(self) -> None:
        """End every run and every process of the server, and remove the private directory."""
        if self._watcher:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        if self._pool:
            await self._pool.stop()
        if self._server:
            await _end(self._server)
        if self._listener:
            self._listener.close()
            self._listener = None
        if self._directory:
            self._directory.close()
            self._directory = None

    async def _start_server(self) -> asyncio.subprocess.Process:
        listener = self._listener
        if listener is None:
            raise ExecutionError("the engine has been stopped")
        deadline = rundeadline.NONE if self._deadline is None else self._deadline.fileno()
        return await asyncio.create_subprocess_exec(
            *(self._interpreter, "-P", "-c", _BOOTSTRAP, str(self._home / "lib"), str(self._home)),
            *map(str, (os.getpid(), deadline, *dataclasses.astuple(self._patience), *self._sources)),
            pass_fds=rundeadline.descriptors(deadline),
            cwd=self._home / "empty",
            stdin=listener.fileno(),
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    async def _watch_server(self) -> None:
        """Log the server's events, and restart it when it ends or hangs, unless that is too often."""
        while self._server:
            await self._follow(self._server)
            code = await self._server.wait()
            _log.error("fork server ended unexpectedly", exit_code=code)
            now = self._clock.monotonic()
            self._crashes.append(now)
            if len(self._crashes) == _MAX_CRASHES and now - self._crashes[0] < _CRASH_PERIOD:
                break
            self._server = await self._start_server()
        _log.error(
            f"fork server disabled after {_MAX_CRASHES} crashes in {_CRASH_PERIOD:g} s",
            consequence="each run starts an ansible-playbook of its own",
        )
        (self._home / "socket").unlink(missing_ok=True)
        if self._listener:
            self._listener.close()

    async def _follow(self, server: asyncio.subprocess.Process) -> None:
        """Log the server's events until it ends; kill it where it hangs, which ends all below it."""
        silent_waits = 0
        while server.stdout is not None:
            try:
                async with asyncio.timeout(2 * self._patience.beat):
                    line = await server.stdout.readline()
            except TimeoutError:
                silent_waits += 1
                if silent_waits < _MAX_SILENT_WAITS:
                    continue
                _log.error("fork server hangs: replacing it", pid=server.pid)
                with contextlib.suppress(ProcessLookupError):
                    server.kill()
                return
            silent_waits = 0
            if not line:
                return
            _log_event(line)

    def _was_lost(self, job: Job) -> bool:
        marker = self._home / "lost" / job.ident
        if not marker.exists():
            return False
        marker.unlink()
        return True

    def _note_remains(self, pool: LauncherPool, job: Job, duration: float) -> None:
        """Take note of what an ended run has left below its supervisor, which lives as long as any of it does."""
        pid_file = wire.pid_file(self._home, job.ident)
        if pid_file.exists():
            end = partial(asyncio.to_thread, _end_supervisor, self._home, job.ident, 0.0)
            pool.remains.add(job, duration, pid_file.exists, end)

    async def _end_run(self, job: Job) -> None:
        """Wait until every process of a run that was ended is gone, and forget that it was lost."""
        (self._home / "lost" / job.ident).unlink(missing_ok=True)
        await asyncio.to_thread(_end_supervisor, self._home, job.ident, _STOP_TIMEOUT)


async def _end(server: asyncio.subprocess.Process) -> None:
    """End the server, which ends its descendants first.

    One that hangs is killed, which ends its children.
    """
    with contextlib.suppress(ProcessLookupError):
        server.terminate()
    try:
        async with asyncio.timeout(_STOP_TIMEOUT):
            await server.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            server.kill()
        await server.wait()


def _log_event(line: bytes) -> None:
    details = orjson.loads(line)
    match ServerEvent(details.pop("event")):
        case ServerEvent.ZYGOTE_READY:
            _log.info("fork server loaded Ansible", **details)
        case ServerEvent.ZYGOTE_UNUSABLE:
            _log.warning(
                "fork server not used for this environment",
                consequence="each run starts an ansible-playbook of its own",
                **details,
            )
        case ServerEvent.ZYGOTE_EXITED:
            _log.error("fork server zygote ended unexpectedly", **details)
        case ServerEvent.ZYGOTE_HUNG:
            _log.error("fork server zygote hangs: replacing it", **details)
        case ServerEvent.ZYGOTE_STALE:
            _log.debug("fork server zygote replaced: its files have changed", **details)
        case ServerEvent.SERVING:
            _log.debug("fork server started", **details)
        case ServerEvent.ALIVE:
            return


def _end_supervisor(home: Path, job: str, grace: float) -> None:
    """Wait until the supervisor of a job has ended, which is when the whole run has.

    After ``grace`` seconds it is told to end. Blocks.
    """
    try:
        pid = int(wire.pid_file(home, job).read_text(encoding="ascii"))
        ended = os.pidfd_open(pid)
    except (OSError, ValueError):
        return
    try:
        if not select.select([ended], [], [], grace)[0]:
            signal.pidfd_send_signal(ended, signal.SIGTERM)
            select.select([ended], [], [], _STOP_TIMEOUT)
    finally:
        os.close(ended)
