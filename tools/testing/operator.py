"""The operator as users run it: a process of its own beside a real API server, read through its log and its probes.

``system`` drives it for the benchmarks; the integration tests do so for theirs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from reconcile_devcluster import die_with_parent

REPOSITORY = Path(__file__).parents[2]
_DEATH_SHIM = Path(die_with_parent.__file__)
PROGRAM = (sys.executable, "-m", "reconcile_runner")
DEADLINE = 60.0
"""Seconds after which a condition that does not come true is an error. Never a measure of speed."""

_AMBIENT = frozenset({"KUBECONFIG", "K8S_AUTH_KUBECONFIG"})
"""Variables by which a cluster that happens to be configured could be meant."""

LogLine = dict[str, Any]


class OperatorProcessError(Exception):
    """The operator ended, or did not do in time what was waited for."""


class OperatorProcess:
    """``reconcile-runner run`` with JSON logs, or another operator, whose lines are then taken as they are."""

    def __init__(self, process: subprocess.Popen[str], log: IO[str]) -> None:
        self.process = process
        self.lines: list[LogLine] = []
        self._log = log
        self._reader = threading.Thread(target=self._read, name="operator log", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for text in self._log:
            try:
                line = json.loads(text)
            except ValueError:
                line = {"msg": text.rstrip(), "level": "raw"}
            self.lines.append(line if isinstance(line, dict) else {"msg": text.rstrip(), "level": "raw"})

    def messages(self, message: str, **fields: object) -> list[LogLine]:
        """Return the log lines with this message and these fields."""
        return [
            line
            for line in list(self.lines)
            if line.get("msg") == message and all(line.get(key) == value for key, value in fields.items())
        ]

    def wait_for_message(self, message: str, **fields: object) -> LogLine:
        """Return the first log line with this message and these fields, waiting for it."""
        eventually(lambda: self._alive() and bool(self.messages(message, **fields)), f"a log line {message!r} {fields}")
        return self.messages(message, **fields)[0]

    def runs(self, name: str) -> int:
        """Return how many runs were started for objects of this name."""
        return len(self.messages("reconciling", name=name))

    def probe(self, path: str) -> tuple[int, str]:
        """Ask ``/healthz`` or ``/readyz``."""
        address = self.wait_for_message("health probes listening")["address"]
        return http_get(f"http://{address}{path}")

    def metrics(self) -> str:
        """Return what Prometheus would read."""
        return http_get(f"http://{self.wait_for_message('metrics endpoint listening')['address']}/metrics")[1]

    def wait_ready(self) -> None:
        """Wait until ``/readyz`` says ok."""
        eventually(lambda: self._alive() and self.probe("/readyz") == (200, "ok"), "the operator to be ready")

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """End the process and return its exit code. One that does not end in time is killed."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            code = self.process.wait(timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self._reader.join(timeout=5)
        return code

    def _alive(self) -> bool:
        code = self.process.poll()
        if code is not None:
            raise OperatorProcessError(f"the operator ended with {code}: {self.text()}")
        return True

    def text(self) -> str:
        """Return the whole log, for messages of failing tests."""
        return "\n".join(json.dumps(line) for line in self.lines)


@contextmanager
def operator(
    kubeconfig: Path,
    watches: Path = REPOSITORY / "watches.yaml",
    *,
    flags: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    program: Sequence[str] = PROGRAM,
    directory: Path = REPOSITORY,
) -> Iterator[OperatorProcess]:
    """Run the operator until the block ends. ``program`` and its first arguments are those of this repository.

    ``directory`` is the working directory, as that of an operator's image.
    """
    command = [*program, "run", "--watches-file", str(watches), "--kubeconfig", str(kubeconfig)]
    command += ["--zap-encoder", "json", "--health-probe-bind-address", "127.0.0.1:0"]
    with started([*command, "--metrics-bind-address", "127.0.0.1:0", *flags], env or {}, directory) as running:
        yield running


@contextmanager
def started(command: Sequence[str], env: Mapping[str, str], directory: Path = REPOSITORY) -> Iterator[OperatorProcess]:
    """Run any operator until the block ends, with ``env`` on top of an environment that names no cluster.

    The kernel kills it when this process dies, however that happens.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _AMBIENT}
    environment |= {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "PYTHONUNBUFFERED": "1", **env}
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(_DEATH_SHIM), str(os.getpid()), *command],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        if process.stderr is None:
            raise OperatorProcessError("no pipe to the operator's log")
        running = OperatorProcess(process, process.stderr)
        try:
            yield running
        finally:
            if process.poll() is None:
                running.stop()


def eventually(condition: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
    """Wait until the condition holds; fail with ``what`` was waited for."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise OperatorProcessError(f"waited {deadline:.0f} s for {what}")
        time.sleep(0.05)


def http_get(url: str) -> tuple[int, str]:
    """Return status and body; status 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 a loopback address
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""
