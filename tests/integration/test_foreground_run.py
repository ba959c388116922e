"""`reconcile-devcluster run` starts and stops everything in order. The operator is a stand-in with a /readyz."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconcile_devcluster import state
from reconcile_devcluster.layout import DataDirectory
from reconcile_devcluster.process import ProcessIdentity, wait
from tests.support.paths import REPOSITORY

pytestmark = pytest.mark.exhaustive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


OPERATOR = """
import http.server, os, signal, sys

flags = dict(argument.split("=", 1) for argument in sys.argv[1:])
if flags["--watches-file"] == "none.yaml":
    sys.exit(3)


class Probe(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def stop(*_):
    print("operator: stopped", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
host, port = flags["--health-probe-bind-address"].split(":")
assert flags["--metrics-bind-address"].startswith("127.0.0.1:")
print("operator:", os.getpid(), flags["--kubeconfig"], os.environ["KUBECONFIG"], flush=True)
http.server.HTTPServer((host, int(port)), Probe).serve_forever()
"""

RUN = """
import sys
from pathlib import Path
from reconcile_devcluster.cli import report_errors
from reconcile_devcluster.cluster import ClusterSpec
from reconcile_devcluster.foreground import RunSpec, run
directory, operator, watches_file = map(Path, sys.argv[1:])
cluster = ClusterSpec(directory)
with report_errors():
    run(RunSpec(cluster, watches_file, Path("crds"), dies_with_parent=True, operator=(sys.executable, str(operator))))
"""


@pytest.fixture
def start_run(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `run` in `tmp_path/data`; whatever is left at the end is killed."""
    (tmp_path / "stand_in.py").write_text(OPERATOR)
    started: list[subprocess.Popen[str]] = []

    def start(watches_file: str = "watches.yaml", started_by: str | None = None) -> subprocess.Popen[str]:
        arguments = ["-c", RUN, str(tmp_path / "data"), str(tmp_path / "stand_in.py"), watches_file]
        wrapped = arguments if started_by is None else ["-c", started_by, *arguments]
        run = subprocess.Popen(
            [sys.executable, *wrapped],
            cwd=REPOSITORY,
            env=os.environ | {"KUBECONFIG": "/nowhere", "K8S_AUTH_HOST": "https://nowhere.example"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(run)
        return run

    yield start
    for run in started:
        if run.poll() is None:
            run.kill()
        run.communicate()


def _read_until(run: subprocess.Popen[str], line: str) -> list[str]:
    lines: list[str] = []
    assert run.stdout is not None
    for text in run.stdout:
        lines.append(text.rstrip("\n"))
        if lines[-1] == line:
            return lines
    pytest.fail("ended early:\n" + "\n".join(lines))


def _all_processes(directory: Path, lines: list[str]) -> list[ProcessIdentity]:
    known = state.load(DataDirectory(directory).state)
    assert known is not None
    operator = next(line for line in lines if line.startswith("operator:"))
    return [*known.processes.values(), ProcessIdentity.of(int(operator.split()[1]))]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
def test_a_signal_stops_the_operator_first_and_leaves_nothing(
    number: signal.Signals, tmp_path: Path, start_run: Callable[..., subprocess.Popen[str]]
) -> None:
    run = start_run()
    lines = _read_until(run, "ready")
    kubeconfig = tmp_path / "data" / "kubeconfig"
    assert f"export KUBECONFIG={kubeconfig}" in lines
    processes = _all_processes(tmp_path / "data", lines)
    assert f"operator: {processes[-1].pid} {kubeconfig} {kubeconfig}" in lines
    run.send_signal(number)
    rest, _ = run.communicate(timeout=45)
    assert run.returncode == 0
    assert "operator: stopped" in rest
    assert rest.rstrip().endswith("devcluster: stopped")
    assert not any(identity.is_alive() for identity in processes)


def test_nothing_is_left_when_run_is_killed(tmp_path: Path, start_run: Callable[..., subprocess.Popen[str]]) -> None:
    run = start_run()
    processes = _all_processes(tmp_path / "data", _read_until(run, "ready"))
    run.kill()
    assert all(wait(identity, timeout=30) for identity in processes)


def test_run_stops_when_what_started_it_is_killed(
    tmp_path: Path, start_run: Callable[..., subprocess.Popen[str]]
) -> None:
    """`make run` passes `--die-with-parent`, so that killing make stops everything too."""
    starter = start_run(started_by="import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]])")
    processes = _all_processes(tmp_path / "data", _read_until(starter, "ready"))
    starter.kill()
    assert all(wait(identity, timeout=45) for identity in processes)


def test_an_operator_that_ends_by_itself_is_reported_and_everything_stops(
    tmp_path: Path, start_run: Callable[..., subprocess.Popen[str]]
) -> None:
    run = start_run("none.yaml")
    output, _ = run.communicate(timeout=50)
    assert run.returncode == 1
    assert "error: the operator has ended by itself with exit code 3" in output
    assert "Traceback" not in output
    assert state.load(DataDirectory(tmp_path / "data").state) is None


def test_an_api_server_that_ends_by_itself_is_reported_and_everything_stops(
    tmp_path: Path, start_run: Callable[..., subprocess.Popen[str]]
) -> None:
    run = start_run()
    processes = _all_processes(tmp_path / "data", _read_until(run, "ready"))
    os.kill(processes[1].pid, signal.SIGKILL)
    output, _ = run.communicate(timeout=45)
    assert run.returncode == 1
    assert "error: kube-apiserver has ended by itself; its log: " in output
    assert not any(identity.is_alive() for identity in processes)


def test_make_run_with_the_current_cluster_refuses_without_a_terminal(tmp_path: Path) -> None:
    answer = _run_current(tmp_path, stdin=subprocess.DEVNULL)
    assert answer.returncode == 1
    assert "context prod, server https://127.0.0.1:1" in answer.stderr
    assert "stdin is not a terminal" in answer.stderr


def test_make_run_with_the_current_cluster_does_nothing_without_a_yes(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, b"n\n")
        answer = _run_current(tmp_path, stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert answer.returncode == 1
    assert "Go on? [y/N]" in answer.stderr
    assert "not confirmed, nothing was changed" in answer.stderr


def _run_current(tmp_path: Path, stdin: int) -> subprocess.CompletedProcess[str]:
    (tmp_path / "kubeconfig").write_text(
        "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n"
        "users: [{name: u, user: {token: t}}]\n"
        "contexts: [{name: prod, context: {cluster: c, user: u}}]\n"
        "current-context: prod\n"
    )
    return subprocess.run(
        [sys.executable, "-m", "reconcile_devcluster", "run", "--cluster", "current"],
        cwd=REPOSITORY,
        env=os.environ | {"KUBECONFIG": str(tmp_path / "kubeconfig")},
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=45,
        check=False,
    )
