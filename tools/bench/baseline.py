"""Bare ``ansible-runner run`` of the same role, so that no ratio is won by a slow baseline.

The role, the arguments of Ansible, the working directory's layout and the API server are those of the operator's runs;
the Foo has the status that the role would write, so that both have nothing to do. Runs alternate, on an idle system.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from reconcile_runner.apimachinery.objects import ObjectKey, generation
from reconcile_runner.metrics import RUN_DURATION
from tools.bench import definitions
from tools.bench.report import Section, Unit
from tools.bench.session import Session, friend_of, tell
from tools.bench.system import System
from tools.bench.watching import ObjectWatch, observed
from tools.testing.operator import REPOSITORY

BARE = "bare"
"""The column of bare ansible-runner."""

_PATIENCE = 120.0
_NOTE = "median; the Foo's status is right already; bare: the command, from start to end; engines: the run itself"


@dataclass(frozen=True, slots=True)
class Cost:
    """One run: wall-clock and CPU time in seconds."""

    seconds: float
    cpu_seconds: float


async def measure(
    session: Session, foos: ObjectWatch, systems: Sequence[System], made: dict[str, list[ObjectKey]], rounds: int
) -> None:
    """Run the role ``rounds`` times bare and by each system, in turns."""
    bare = BareRunner(session, made[systems[0].name][0])
    costs: dict[str, list[Cost]] = {BARE: [], **{system.name: [] for system in systems}}
    for number in range(rounds):
        tell(f"one run, bare and by each engine: {number + 1} of {rounds}")
        costs[BARE].append(await asyncio.to_thread(bare.run))
        for system in systems:
            costs[system.name].append(await run_by(session, foos, system, made[system.name][0]))
    bare_wall = median(one.seconds for one in costs[BARE])
    for name, done in costs.items():
        wall, cpu = median(one.seconds for one in done), median(one.cpu_seconds for one in done)
        add, section = session.figures.add, Section.BASELINE
        add(section, "one run of roles/foo", Unit.SECONDS, name, wall, rounds, _NOTE)
        add(section, "one run of roles/foo, against bare", Unit.RATIO, name, wall / bare_wall, rounds, _NOTE)
        add(section, "one run of roles/foo: CPU", Unit.CPU_SECONDS, name, cpu, rounds, _NOTE)


async def run_by(session: Session, foos: ObjectWatch, system: System, key: ObjectKey) -> Cost:
    """Run the role once for a Foo whose status is right, on an idle system."""
    await system.tree.settle()
    before, cpu = await system.scrape(), system.tree.cpu_seconds()
    path = f"/apis/tutorial.my.domain/v1/namespaces/{key.namespace}/foos/{key.name}"
    # Another friend who is not there either: a new generation, and nothing to write but that it was seen.
    expected_friend = session.new_name("nobody")
    changed = await session.client.patch(path, {"spec": {"name": expected_friend}})
    await foos.expect([key], observed(generation(changed))).within(_PATIENCE)
    await system.tree.settle()
    after = await system.scrape()
    seconds = after.mean_since(before, RUN_DURATION.name, controller=definitions.FOO_CONTROLLER)
    if seconds is None:
        raise RuntimeError(f"{system.name} counted no run of {key}")
    return Cost(seconds, system.tree.cpu_seconds() - cpu)


class BareRunner:
    """Runs the role for a Foo as a person with a kubeconfig would: ``ansible-runner run DIRECTORY -p main.json``."""

    def __init__(self, session: Session, foo: ObjectKey) -> None:
        self._directory = session.directory / session.new_name("bare")
        self._number = 0
        play = [{"hosts": "localhost", "gather_facts": False, "roles": [{"name": "foo"}]}]
        variables = {"foo_name": foo.name, "foo_namespace": foo.namespace, "foo_friend": friend_of(foo) + "-not-there"}
        environment = {
            "K8S_AUTH_KUBECONFIG": str(session.kubeconfig),
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        }
        self._write("project/main.json", play)
        self._write("env/extravars", variables)
        self._write("env/envvars", environment)
        inventory = 'localhost ansible_connection=local ansible_python_interpreter="{{ ansible_playbook_python }}"\n'
        self._path("inventory/hosts").write_text(inventory, encoding="utf-8")

    def run(self) -> Cost:
        """Run it once. Raises ``RuntimeError`` with the output where it failed."""
        self._number += 1
        program = Path(sys.executable).with_name("ansible-runner")
        command = [str(program), "run", str(self._directory), "-p", "main.json", "-vv", "--ident", str(self._number)]
        before, begun = _children_cpu(), time.monotonic()
        code, output = _run(command)
        seconds, cpu = time.monotonic() - begun, _children_cpu() - before
        if code:
            raise RuntimeError(f"ansible-runner ended with exit code {code}: {output[-2000:]}")
        return Cost(seconds, cpu)

    def _write(self, name: str, content: object) -> None:
        self._path(name).write_text(json.dumps(content), encoding="utf-8")

    def _path(self, name: str) -> Path:
        path = self._directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def _run(command: Sequence[str]) -> tuple[int, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    done = subprocess.run(
        command,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout


def _children_cpu() -> float:
    """Return the CPU seconds of children that have ended: nothing else of the bench's ends meanwhile."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
