"""kubectl, as people use it: what the tests on a real node ask the API server and its kubelets with.

Whole objects are read and written through `Api`, which costs no process; kubectl is for what it does itself:
kustomize, exec, logs, port-forward, and the table that a person reads.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 120.0
"""Seconds one call may take."""

_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


class KubectlError(Exception):
    """kubectl ended with an error; the message is what it said."""


@dataclass(frozen=True)
class Kubectl:
    """One kubectl and the cluster that it is for."""

    program: Path
    kubeconfig: Path

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    def run(self, *arguments: str, stdin: str = "", timeout: float = TIMEOUT) -> str:
        """Return what it prints. Raises ``KubectlError`` where it ends with an error."""
        done = subprocess.run(
            [self.program, *arguments],
            input=stdin,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}{done.stdout.strip()}")
        return done.stdout

    def execute(self, namespace: str, pod: str, script: str) -> str:
        """Run a shell script in the first container of a Pod; return what it prints."""
        return self.run("exec", "--namespace", namespace, pod, "--", "/bin/sh", "-c", script)

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Run it until the block ends, its output in a pipe."""
        with subprocess.Popen(
            [self.program, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def port_forward(self, namespace: str, to: str, port: int) -> Iterator[int]:
        """Yield a local port that leads to one of a Pod or Service (``pod/x``, ``service/y``)."""
        with self.started("port-forward", "--namespace", namespace, to, f":{port}") as process:
            if process.stdout is None:
                raise KubectlError("no pipe to kubectl")
            said = process.stdout.readline()
            found = _FORWARDING.search(said)
            if found is None:
                raise KubectlError(f"kubectl port-forward {to} {port}: {said}{process.stdout.read()}")
            yield int(found[1])

    def wait(self, namespace: str, what: str, condition: str, seconds: int = 60) -> None:
        self.run("wait", "--namespace", namespace, what, f"--for={condition}", f"--timeout={seconds}s")
