"""A launcher: a small process in which ansible-runner starts one run at a time.

It is started as ``python -m reconcile_runner.execution.launcher``, reads jobs from its stdin and writes reports to its
stdout: frames of JSON. It is a process of its own because ansible-runner forks a terminal, which a process with threads
must not, and blocks an event loop.

It kills all its descendants before it exits: on SIGTERM, which the kernel also sends when the operator dies, at the
end of its stdin, and at the deadline of all runs, where the operator has not moved that on. So there is one way to end
a run.

It is the only module that imports ansible-runner. Apart from that it imports the standard library and a few modules
that need no more, so that a launcher stays small.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shlex
import signal
import sys
import tempfile
import termios
from collections.abc import Callable
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import IO, Any, NoReturn

import ansible_runner
from ansible_runner import runner as runner_module
from ptyprocess import PtyProcess

from reconcile_runner.execution import (
    artifacts,
    confinement,
    discoverycache,
    frames,
    processes,
    rundeadline,
    rundir,
    tempdir,
)
from reconcile_runner.execution.processes import ChildWatch
from reconcile_runner.execution.rundeadline import RunDeadlineWatch


class OperatorGoneError(Exception):
    """The operator has closed the pipes."""


class Channel:
    """The pipes to the operator: stdin and stdout of this process.

    No other code can use them then.
    """

    def __init__(self) -> None:
        self._jobs = os.dup(0)
        self._reports = os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        self._children = ChildWatch()

    def next_job(self) -> dict[str, Any] | None:
        """Wait for a job and reap children that end meanwhile.

        None: the operator sends no more jobs.
        """
        while not self.wait():
            has_children()
        body = frames.read(lambda size: os.read(self._jobs, size))
        if body is None:
            return None
        job: dict[str, Any] = json.loads(body)
        return job

    def wait(self) -> bool:
        """Wait until the operator has sent something (True) or a child has ended (False)."""
        sources: list[int | ChildWatch] = [self._jobs, self._children]
        ready, _, _ = select.select(sources, [], [])
        if self._children in ready:
            self._children.clear()
        return self._jobs in ready

    def report(self, report: dict[str, Any]) -> None:
        """Write a report. Blocks while the pipe is full. Raises ``OperatorGoneError``."""
        # Only Python's json accepts a lone surrogate, which stands for a byte of a file name that is not UTF-8.
        body = json.dumps(report, ensure_ascii=False).encode("utf-8", "replace")
        pending = memoryview(frames.header(body) + body)
        try:
            while pending:
                pending = pending[os.write(self._reports, pending) :]
        except BrokenPipeError as error:
            raise OperatorGoneError from error


def _write_events_at_once() -> None:
    """Have ansible-runner encode the JSON of an event in one call.

    ``json.dump`` encodes piece by piece, in Python, which was half of a launcher's work for a run. The bytes are the
    same.
    """

    def dump(content: object, file: IO[str], *, ensure_ascii: bool = True) -> None:
        file.write(json.dumps(content, ensure_ascii=ensure_ascii))

    runner_module.json = SimpleNamespace(**{**vars(json), "dump": dump})


def _close_terminals_at_once() -> None:
    """Have ``ptyprocess`` close a terminal without a pause if its program has ended.

    It sleeps for ``delayafterclose`` (0.1 s) because a program that loses its terminal ends a little later. When
    ansible-runner closes the terminal, the program has ended before.
    """
    ordinary = PtyProcess.close

    def close(self: Any, force: bool = True) -> None:
        if not self.isalive():
            self.delayafterclose = 0
        ordinary(self, force)

    PtyProcess.close = close


def _start_programs_without_input(hidden: list[str] | None) -> None:
    """Have a run's program read the end of its input: nobody will ever answer a prompt.

    The program is confined, so that it cannot read the files in ``hidden``; None: it is not.

    Its output stays a terminal. That does not control the program, which else would ask for passwords there. So the
    kernel tells it the end of this process by the signal that it would send for the end of the terminal.
    """
    launcher = os.getpid()
    ordinary = PtyProcess.spawn

    def spawn(
        argv: list[str],
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        echo: bool = True,
        preexec_fn: Callable[[], None] | None = None,
        dimensions: tuple[int, int] = (24, 80),
        pass_fds: tuple[int, ...] = (),
    ) -> Any:
        def before_exec() -> None:
            if preexec_fn is not None:
                preexec_fn()
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            fcntl.ioctl(0, termios.TIOCNOTTY)
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            processes.die_with_parent(signal.SIGHUP, launcher)
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, 0)
            os.close(nothing)
            if hidden is not None:
                confinement.confine(hidden)

        return ordinary(argv, cwd, env, echo, before_exec, dimensions, pass_fds)

    PtyProcess.spawn = spawn


def main(deadline: int, hidden: list[str] | None) -> None:
    """Run jobs until the operator sends no more or has ended.

    ``deadline`` is the descriptor of that of all runs, or ``rundeadline.NONE``. ``hidden`` are the files that runs must
    not read; None: they are not confined.
    """
    rundeadline.keep(deadline)
    watch = RunDeadlineWatch(deadline, _on_deadline)
    processes.adopt_orphans()
    processes.set_parent_death_signal(signal.SIGTERM)
    _write_events_at_once()
    _close_terminals_at_once()
    _start_programs_without_input(hidden)
    signal.signal(signal.SIGTERM, _on_sigterm)
    channel = Channel()
    try:
        channel.report({"ready": True})
        last = None
        while (job := channel.next_job()) is not None:
            if has_children():
                # An asynchronous task of an earlier run is still running. Ending the next run must not end it.
                channel.report({"accepted": False})
                _wait_for_children(channel)
                return
            watch.start()
            channel.report({"accepted": True})
            _remove_stale_discovery(job["api"], last)
            last = job["api"]
            channel.report({"result": run(job, channel)})
    except OperatorGoneError:
        return
    finally:
        _end_all()


def _remove_stale_discovery(api: dict[str, str] | None, last: dict[str, str] | None) -> None:
    """Remove earlier runs' discovery caches.

    This API's is kept if it serves the same kinds as at the last run.
    """
    temporary = tempfile.gettempdir()
    if tempdir.is_own(temporary):
        discoverycache.remove(temporary, but=discoverycache.names(api["url"]) if api and api == last else ())


def run(job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Run a job and report its events. Returns the fields of a ``LauncherReport``."""
    os.environ[processes.JOB_VARIABLE] = job["ident"]
    directory = Path(job["private_data_dir"])
    artifacts.prepare(directory / "artifacts", job["ident"])

    def on_event(event: dict[str, Any]) -> bool:
        _hide_what_no_log_missed(event)
        channel.report({"event": event})
        return True

    temporary = tempfile.gettempdir()
    with tempdir.held(temporary):
        runner = ansible_runner.run(
            private_data_dir=str(directory),
            ident=job["ident"],
            binary=job["binary"],
            cmdline=_command_line(job, directory),
            roles_path=_roles_path(job, directory),
            verbosity=job["settings"]["verbosity"],
            event_handler=on_event,
            cancel_callback=lambda: False,
            quiet=True,
            suppress_env_files=True,
        )
    leaves_processes = has_children()
    if not leaves_processes:
        tempdir.empty(temporary)
    artifacts.close_to_others(directory / "artifacts", job["ident"])
    callback = runner.config.env.get("ORIGINAL_STDOUT_CALLBACK", "")
    return {
        "status": runner.status,
        "rc": runner.rc,
        "stdout_callback": callback,
        "leaves_processes": leaves_processes,
    }


def _hide_what_no_log_missed(event: dict[str, Any]) -> None:
    """Remove the error text before a result that ``no_log`` hides.

    ansible-core 2.19 to 2.21 print it. ansible-runner writes the event to the artifacts after this, so they do not hold
    it either.
    """
    result = (event.get("event_data") or {}).get("res")
    if isinstance(result, dict) and "censored" in result:
        lines = event.get("stdout", "").splitlines(keepends=True)
        errors = [number for number, line in enumerate(lines) if "[ERROR]" in line]
        results = [number for number, line in enumerate(lines) if '"censored"' in line]
        if errors:
            event["stdout"] = "".join(lines[results[-1] :] if results else [])


def _command_line(job: dict[str, Any], directory: Path) -> str:
    """Return ``env/cmdline`` and the playbook.

    ansible-runner does not add the playbook when it has a ``binary``.
    """
    playbook = job["playbook"] or _write_play(job, directory)
    return f"{(directory / 'env' / 'cmdline').read_text(encoding='utf-8')} {shlex.quote(playbook)}"


def _write_play(job: dict[str, Any], directory: Path) -> str:
    """Write the play around a role and return its path.

    It is as ``ansible-runner run --role`` writes it.
    """
    role = {"name": Path(job["role"]).name}
    play = [{"hosts": "localhost", "gather_facts": job["settings"]["gather_facts"], "roles": [role]}]
    path = directory / "project" / "main.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(play), encoding="utf-8")
    return str(path)


def _roles_path(job: dict[str, Any], directory: Path) -> str | None:
    """Return the roles path, None for a playbook.

    A role's own directory is first, so that it finds the roles beside it.
    """
    if not job["role"]:
        return None
    environment = os.environ | json.loads((directory / "env" / "envvars").read_text(encoding="utf-8"))
    return ":".join(filter(None, [str(Path(job["role"]).parent), environment.get("ANSIBLE_ROLES_PATH")]))


def has_children() -> bool:
    """Reap ended children; return whether any remain."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _wait_for_children(channel: Channel) -> None:
    while has_children():
        if channel.wait() and channel.next_job() is None:
            return


def _on_sigterm(_number: int, _frame: FrameType | None) -> NoReturn:
    _end_all()
    os._exit(128 + signal.SIGTERM)


def _on_deadline() -> NoReturn:
    _end_all()
    # The operator reads the last line of stderr. It may have ended, and its file with it.
    with contextlib.suppress(OSError):
        os.write(2, b"the deadline of all runs has come: the operator did not renew its lease in time\n")
    os._exit(128 + signal.SIGALRM)


def _end_all() -> None:
    processes.kill_until_gone(lambda: processes.living_descendants(os.getpid()))
    temporary = tempfile.gettempdir()
    tempdir.remove(temporary)
    rundir.remove_if_dead(Path(temporary).parent)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[3:] if sys.argv[2:3] == [confinement.CONFINE] else None)
