"""The engine ``forkserver``: launchers as ever, with a fork server behind the program that they start.

``manager`` asks ``unsupported`` whether it can be used. It owns the server's process, restarts it when it dies, and
keeps its listening socket, so that requests wait for the next server. A run that the server's death has ended raises
``RunLostError``, which the reconciler tries again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import select
import shutil
import signal
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import orjson

from reconcile_runner.clock import Clock, SystemClock
from reconcile_runner.errors import ConfigError, ExecutionError, RunLostError
from reconcile_runner.execution import processes
from reconcile_runner.execution.forkserver import client, wire
from reconcile_runner.execution.job import Job, RunResult, RunStatus
from reconcile_runner.execution.jobevent import JobEvent
from reconcile_runner.execution.pool import LauncherPool, ansible_playbook
from reconcile_runner.execution.rundir import RunDir
from reconcile_runner.logs import get_logger

TESTED_CORES: Final = ("2.19", "2.20", "2.21")
"""The minor versions of ansible-core that this engine is tested with. It reaches into what others may have moved."""

TESTED_PYTHONS: Final = ((3, 11), (3, 12), (3, 13))
"""The minor versions of Python that it is tested with."""

_PACKAGE = "reconcile_runner"
_MOST_DEATHS = 5
_DEATHS_WITHIN = 60.0
"""Seconds: a server that dies ``_MOST_DEATHS`` times within them is not started again, and runs go the ordinary way."""

_PATIENCE = 3.0
"""Seconds for a run's processes to be gone after it was ended."""

_log = get_logger(__name__)


def unsupported() -> str | None:
    """Return why this engine cannot be used here, None where it can."""
    if sys.platform != "linux":
        return f"it needs Linux, this is {sys.platform}"
    try:
        core = version("ansible-core")
    except PackageNotFoundError:
        return "ansible-core is not installed beside this Python"
    if not any(re.match(rf"{re.escape(tested)}\.\d+$", core) for tested in TESTED_CORES):
        return f"it is tested with ansible-core {', '.join(TESTED_CORES)}, found {core}"
    if sys.version_info[:2] not in TESTED_PYTHONS:
        tested = ", ".join(f"{major}.{minor}" for major, minor in TESTED_PYTHONS)
        return f"it is tested with Python {tested}, found {sys.version_info[0]}.{sys.version_info[1]}"
    program = shutil.which(ansible_playbook())
    if program and not _is_own(interpreter_of(program) or ""):
        return f"{program} does not run in {sys.executable}"
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


def interpreter_of(program: str) -> str | None:
    """Return the interpreter in the first line of a script, as it is written; None where there is none."""
    try:
        with Path(program).open("rb") as script:
            line = script.readline(4096)
    except OSError:
        return None
    return os.fsdecode(line.removeprefix(b"#!").strip()) if line.startswith(b"#!") else None


def _is_own(interpreter: str) -> bool:
    """Tell whether a path starts this process's interpreter, whose versions are the ones that were looked at."""
    named, own = Path(interpreter), Path(sys.executable)
    return named.parent == own.parent and named.resolve() == own.resolve()


class ForkserverEngine:
    """Runs jobs in forks of a process that holds Ansible. Implements ``Engine``.

    ``ordinary`` is the ``ansible-playbook`` for what cannot be run so; None: as for ``SubprocessEngine``.
    ``sources``: the roles and playbooks to come, whose modules are made ready ahead.
    """

    def __init__(
        self, ordinary: Path | None = None, clock: Clock | None = None, sources: tuple[Path, ...] = ()
    ) -> None:
        self._ordinary = str(ordinary) if ordinary else ansible_playbook()
        self._clock = clock or SystemClock()
        self._sources = sources
        self._interpreter = sys.executable
        self._home = Path()
        self._directory: RunDir | None = None
        self._pool: LauncherPool | None = None
        self._listener: socket.socket | None = None
        self._server: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._deaths: deque[float] = deque(maxlen=_MOST_DEATHS)

    async def start(self) -> None:
        """Start launcher and server. Raises ``ConfigError`` where either is impossible."""
        found = shutil.which(self._ordinary)
        if found is None:
            raise ConfigError(f"{self._ordinary} was not found, or cannot be executed: install ansible-core")
        interpreter = interpreter_of(found)
        if interpreter is None:
            raise ConfigError(f"{found} names no interpreter in its first line, which the engine forkserver needs")
        self._interpreter = interpreter
        program = self._make_home(found, interpreter)
        self._server = await self._start_server()
        self._keeper = asyncio.create_task(self._keep_serving(), name="fork server")
        self._pool = LauncherPool(str(program), self._clock, self._home / "tmp")
        await self._pool.start()

    def _make_home(self, ordinary: str, interpreter: str) -> Path:
        """Make the directory, with the socket and the program that ansible-runner is to start, and return this."""
        self._directory = RunDir.make_in(Path(tempfile.gettempdir()))
        self._home = self._directory.path
        for name in ("runs", "lost", "empty", "tmp", "lib"):
            (self._home / name).mkdir(mode=0o700)
        (self._home / "ansible-playbook").symlink_to(ordinary)
        # Another interpreter than ours finds this package there, and nothing else of our environment.
        (self._home / "lib" / _PACKAGE).symlink_to(str(resources.files(_PACKAGE)))
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
            await asyncio.shield(self._gone(job))
            raise
        if result.status is RunStatus.TIMED_OUT:
            await asyncio.shield(self._gone(job))
        if result.status is RunStatus.FAILED and self._was_lost(job):
            raise RunLostError("the fork server died under the run, which is tried again")
        return result

    async def stop(self) -> None:
        """End every run, the server and all below it, and remove what was made for them."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
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
        return await asyncio.create_subprocess_exec(
            self._interpreter,
            "-m",
            "reconcile_runner.execution.forkserver.server",
            str(self._home),
            str(os.getpid()),
            *map(str, self._sources),
            cwd=self._home / "lib",
            stdin=listener.fileno(),
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    async def _keep_serving(self) -> None:
        """Log what the server says, and start another when it has died, unless that happens again and again."""
        while self._server:
            await _log_words(self._server)
            code = await self._server.wait()
            _log.error("the fork server ended", exit_code=code)
            now = self._clock.monotonic()
            self._deaths.append(now)
            if len(self._deaths) == _MOST_DEATHS and now - self._deaths[0] < _DEATHS_WITHIN:
                break
            self._server = await self._start_server()
        _log.error("the fork server is given up", consequence="each run starts an ansible-playbook of its own")
        (self._home / "socket").unlink(missing_ok=True)
        if self._listener:
            self._listener.close()

    def _was_lost(self, job: Job) -> bool:
        marker = self._home / "lost" / job.ident
        if not marker.exists():
            return False
        marker.unlink()
        return True

    async def _gone(self, job: Job) -> None:
        (self._home / "lost" / job.ident).unlink(missing_ok=True)
        await asyncio.to_thread(_wait_until_gone, self._home, job.ident)


async def _end(server: asyncio.subprocess.Process) -> None:
    """End the server, which ends everything below it first; one that cannot any more leaves that to the kernel."""
    with contextlib.suppress(ProcessLookupError):
        server.terminate()
    try:
        async with asyncio.timeout(_PATIENCE):
            await server.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            server.kill()
        await server.wait()


async def _log_words(server: asyncio.subprocess.Process) -> None:
    words = server.stdout
    while words is not None and (line := await words.readline()):
        word = orjson.loads(line)
        match word.pop("what"):
            case "unfit":
                _log.warning("a run cannot be forked, and starts an ansible-playbook of its own", **word)
            case "ready":
                _log.info("Ansible is loaded, runs are forked from now on", **word)
            case "lost":
                _log.error("the process that holds Ansible ended", **word)
            case what:
                _log.debug("fork server", what=what, **word)


def _wait_until_gone(home: Path, job: str) -> None:
    """Wait until the supervisor of a job has ended, which it does when the whole run has. Blocks."""
    try:
        pid = int(wire.pid_file(home, job).read_text(encoding="ascii"))
        ended = os.pidfd_open(pid)
    except (OSError, ValueError):
        return
    try:
        if not select.select([ended], [], [], _PATIENCE)[0]:
            signal.pidfd_send_signal(ended, signal.SIGTERM)
            select.select([ended], [], [], _PATIENCE)
    finally:
        os.close(ended)
