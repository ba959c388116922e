"""A launcher: a small process with one thread, in which ansible-runner starts one run at a time.

``launcherclient`` starts it as ``python -m reconcile_runner.execution.launcher``, writes jobs to its stdin and reads
reports from its stdout: frames of four bytes of length, big-endian, and that much JSON. It is a process of its
own because ansible-runner forks a terminal, which a process with threads must not, and keeps an event loop waiting.

Its end is the end of everything below it: on SIGTERM, which the kernel also sends when the operator dies, and on the
end of its stdin it kills its descendants, wherever they went, before it exits. So there is one way to end a run.

The only module that imports ansible-runner. Nothing else here but the standard library and a few modules that need no
more than that, so that a launcher stays small.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import tempfile
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import IO, Any, NoReturn

import ansible_runner
from ansible_runner import runner as runner_module
from ptyprocess import PtyProcess

from reconcile_runner.execution import artifacts, discoverycache, frames, processes, rundir, tempdir
from reconcile_runner.execution.processes import ChildWatch


class OperatorGoneError(Exception):
    """Nobody reads the reports or writes jobs any more."""


class Channel:
    """The launcher's line to the operator. stdin and stdout are taken away from everybody else in this process."""

    def __init__(self) -> None:
        self._jobs = os.dup(0)
        self._reports = os.dup(1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.dup2(2, 1)
        self._children = ChildWatch()

    def next_job(self) -> dict[str, Any] | None:
        """Wait for a job, burying children that end meanwhile. None: the operator wants no more."""
        while not self.wait():
            has_children()
        body = frames.read(lambda size: os.read(self._jobs, size))
        if body is None:
            return None
        job: dict[str, Any] = json.loads(body)
        return job

    def wait(self) -> bool:
        """Wait until the operator says something (True) or a child has ended (False)."""
        sources: list[int | ChildWatch] = [self._jobs, self._children]
        ready, _, _ = select.select(sources, [], [])
        if self._children in ready:
            self._children.clear()
        return self._jobs in ready

    def report(self, report: dict[str, Any]) -> None:
        """Write one report; blocks while the operator is slow. Raises ``OperatorGoneError``."""
        # A lone surrogate (a file name that is no UTF-8) is valid for Python's json and for nobody else.
        body = json.dumps(report, ensure_ascii=False).encode("utf-8", "replace")
        pending = memoryview(frames.header(body) + body)
        try:
            while pending:
                pending = pending[os.write(self._reports, pending) :]
        except BrokenPipeError as error:
            raise OperatorGoneError from error


def _write_events_at_once() -> None:
    """Have ansible-runner write the JSON of an event in one piece.

    ``json.dump`` encodes piece by piece, in Python: that was half of what a launcher did for a run. The bytes are the
    same.
    """

    def dump(content: object, file: IO[str], *, ensure_ascii: bool = True) -> None:
        file.write(json.dumps(content, ensure_ascii=ensure_ascii))

    runner_module.json = SimpleNamespace(**{**vars(json), "dump": dump})


def _leave_ended_programs_at_once() -> None:
    """Have a terminal closed without a pause where its program has ended.

    ``ptyprocess`` sleeps for ``delayafterclose``, 0.1 s, for the kernel to notice the end of a program that loses its
    terminal. ansible-runner closes it when that has long happened.
    """
    ordinary = PtyProcess.close

    def close(self: Any, force: bool = True) -> None:
        if not self.isalive():
            self.delayafterclose = 0
        ordinary(self, force)

    PtyProcess.close = close


def main() -> None:
    """Serve jobs until the operator wants no more, or is gone."""
    processes.adopt_orphans()
    processes.set_parent_death_signal(signal.SIGTERM)
    _write_events_at_once()
    _leave_ended_programs_at_once()
    signal.signal(signal.SIGTERM, _on_sigterm)
    channel = Channel()
    try:
        channel.report({"ready": True})
        last = None
        while (job := channel.next_job()) is not None:
            if has_children():
                # An asynchronous task outlived its run. Ending the next run must not end that one too.
                channel.report({"accepted": False})
                _outlive_children(channel)
                return
            channel.report({"accepted": True})
            _forget_what_has_changed(job["api"], last)
            last = job["api"]
            channel.report({"result": run(job, channel)})
    except OperatorGoneError:
        return
    finally:
        _end_all()


def _forget_what_has_changed(api: dict[str, str] | None, last: dict[str, str] | None) -> None:
    """Remove what earlier runs found out about API servers, but for one that serves what it did before the last run."""
    temporary = tempfile.gettempdir()
    if tempdir.is_own(temporary):
        discoverycache.remove(temporary, but=discoverycache.names(api["url"]) if api and api == last else ())


def run(job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Run one job to its end, reporting its events. Returns ansible-runner's status and exit code."""
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
    if not has_children():
        tempdir.empty(temporary)
    artifacts.close_to_others(directory / "artifacts", job["ident"])
    return {"status": runner.status, "rc": runner.rc}


def _hide_what_no_log_missed(event: dict[str, Any]) -> None:
    """Remove the error that ansible-core 2.19 to 2.21 print in the clear before a result that ``no_log`` hid.

    ansible-runner keeps the event as it is after this, so the artifacts do not hold it either.
    """
    result = (event.get("event_data") or {}).get("res")
    if isinstance(result, dict) and "censored" in result:
        lines = event.get("stdout", "").splitlines(keepends=True)
        errors = [number for number, line in enumerate(lines) if "[ERROR]" in line]
        results = [number for number, line in enumerate(lines) if '"censored"' in line]
        if errors:
            event["stdout"] = "".join(lines[results[-1] :] if results else [])


def _command_line(job: dict[str, Any], directory: Path) -> str:
    """Return ``env/cmdline`` and the playbook: with a ``binary``, ansible-runner adds no playbook by itself."""
    playbook = job["playbook"] or _write_play(job, directory)
    return f"{(directory / 'env' / 'cmdline').read_text(encoding='utf-8')} {shlex.quote(playbook)}"


def _write_play(job: dict[str, Any], directory: Path) -> str:
    """Write the play around a role, as ``ansible-runner run --role`` does, and return its path."""
    role = {"name": Path(job["role"]).name}
    play = [{"hosts": "localhost", "gather_facts": job["settings"]["gather_facts"], "roles": [role]}]
    path = directory / "project" / "main.json"
    path.touch(mode=0o600)
    path.write_text(json.dumps(play), encoding="utf-8")
    return str(path)


def _roles_path(job: dict[str, Any], directory: Path) -> str | None:
    """Return where roles are looked for: a role's own directory first, so that it finds its neighbours."""
    if not job["role"]:
        return None
    environment = os.environ | json.loads((directory / "env" / "envvars").read_text(encoding="utf-8"))
    return ":".join(filter(None, [str(Path(job["role"]).parent), environment.get("ANSIBLE_ROLES_PATH")]))


def has_children() -> bool:
    """Reap the children that have ended, and tell whether others live."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _outlive_children(channel: Channel) -> None:
    while has_children():
        if channel.wait() and channel.next_job() is None:
            return


def _on_sigterm(_number: int, _frame: FrameType | None) -> NoReturn:
    _end_all()
    os._exit(128 + signal.SIGTERM)


def _end_all() -> None:
    processes.kill_until_gone(lambda: processes.living_descendants(os.getpid()))
    temporary = tempfile.gettempdir()
    tempdir.remove(temporary)
    rundir.remove_if_dead(Path(temporary).parent)


if __name__ == "__main__":
    main()
