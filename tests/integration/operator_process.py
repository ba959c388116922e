"""The operator as users run it: a process of its own beside a real API server, read through its log and its probes."""

from __future__ import annotations

import http
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devcluster import crds
from devcluster.api import ApiServer

REPOSITORY = Path(__file__).parents[2]
DEADLINE = 60.0
"""Seconds after which a condition that does not come true fails its test. Never a measure of speed."""

LogLine = dict[str, Any]


class OperatorProcess:
    """``python -m runner run`` with JSON logs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[LogLine] = []
        self._reader = threading.Thread(target=self._read, name="operator log", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for text in self.process.stderr:
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
        address = self.wait_for_message("probes are served")["address"]
        return http_get(f"http://{address}{path}")

    def metrics(self) -> str:
        """Return what Prometheus would read."""
        return http_get(f"http://{self.wait_for_message('metrics are served')['address']}/metrics")[1]

    def wait_ready(self) -> None:
        """Wait until ``/readyz`` says ok."""
        eventually(lambda: self._alive() and self.probe("/readyz") == (200, "ok"), "the operator to be ready")

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        """End the process and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        code = self.process.wait(timeout=DEADLINE)
        self._reader.join(timeout=5)
        return code

    def _alive(self) -> bool:
        code = self.process.poll()
        assert code is None, f"the operator ended with {code}: {self.text()}"
        return True

    def text(self) -> str:
        """Return the whole log, for messages of failing tests."""
        return "\n".join(json.dumps(line) for line in self.lines)


@contextmanager
def operator(
    kubeconfig: Path,
    watches: Path = REPOSITORY / "watches.yaml",
    *,
    flags: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
) -> Iterator[OperatorProcess]:
    """Run the operator until the block ends."""
    command = [sys.executable, "-m", "runner", "run"]
    command += ["--watches-file", str(watches), "--kubeconfig", str(kubeconfig), "--zap-encoder", "json"]
    command += ["--health-probe-bind-address", "127.0.0.1:0", "--metrics-bind-address", "127.0.0.1:0", *flags]
    environment = {k: v for k, v in os.environ.items() if k not in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG")}
    environment |= {"ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"), "PYTHONUNBUFFERED": "1", **(env or {})}
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        running = OperatorProcess(process)
        try:
            yield running
        finally:
            if process.poll() is None:
                running.stop()


def eventually(condition: Callable[[], bool], what: str, deadline: float = DEADLINE) -> None:
    """Wait until the condition holds; fail with ``what`` was waited for."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, f"waited {deadline:.0f} s for {what}"
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


class Kube:
    """The few requests that tests make, by hand, of the API server under test."""

    def __init__(self, api: ApiServer) -> None:
        self.api = api

    def create_namespace(self, name: str) -> None:
        self.api.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def create_pod(self, namespace: str, name: str) -> None:
        spec = {"containers": [{"name": "c", "image": "none"}]}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        self.api.call("POST", f"/api/v1/namespaces/{namespace}/pods", body)

    def delete_pod(self, namespace: str, name: str) -> None:
        self.api.call("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}?gracePeriodSeconds=0")

    def create_foo(self, namespace: str, name: str, friend: str, **metadata: object) -> None:
        body = {
            "apiVersion": "tutorial.my.domain/v1",
            "kind": "Foo",
            "metadata": {"name": name, **metadata},
            "spec": {"name": friend},
        }
        self.api.call("POST", foo_path(namespace), body)

    def patch_foo(self, namespace: str, name: str, friend: str) -> None:
        self.patch(foo_path(namespace, name), {"spec": {"name": friend}})

    def delete_foo(self, namespace: str, name: str) -> None:
        self.api.call("DELETE", foo_path(namespace, name))

    def patch(self, path: str, body: dict[str, Any]) -> None:
        self.api.call("PATCH", path, body, "application/merge-patch+json")

    def foo(self, namespace: str, name: str) -> dict[str, Any]:
        return self.api.call("GET", foo_path(namespace, name))

    def happy(self, namespace: str, name: str) -> bool | None:
        """Return ``status.happy``, None where it has not been set."""
        value = self.foo(namespace, name).get("status", {}).get("happy")
        assert value is None or isinstance(value, bool)
        return value

    def condition(self, namespace: str, name: str, wanted: str) -> dict[str, Any]:
        """Return a condition of a Foo, or an empty mapping."""
        conditions = self.foo(namespace, name).get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == wanted), {})

    def exists(self, path: str) -> bool:
        status, _ = self.api.request("GET", path)
        return status == http.HTTPStatus.OK


def install_foo_crd(api: ApiServer) -> None:
    """Install `crds/` and wait until the API server serves the kind."""
    crds.install(api, REPOSITORY / "crds")


def foo_path(namespace: str, name: str = "") -> str:
    path = f"/apis/tutorial.my.domain/v1/namespaces/{namespace}/foos"
    return f"{path}/{name}" if name else path
