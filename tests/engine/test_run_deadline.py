"""No process of a run lives past the end of its operator's lease, also where that is stopped and all cores are busy.

``LEASE_ROUNDS`` says how often that is tried.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconcile_runner.execution.processes import kill_until_gone
from reconcile_runner.options import ElectionSettings, usable_cpus
from tests.engine.test_execution_processes import eventually
from tests.support.paths import REPOSITORY

pytestmark = pytest.mark.timeout(120)

ROUNDS = int(os.environ.get("LEASE_ROUNDS", "5"))
SIGNS = frozenset({"group", "environment", "daemon", "task"})
LAST_TASK = "Do not end"
DEADLINE_SECONDS = 2.0
"""From a renewal to the deadline of runs. It is 11 by default: here nobody waits for that long."""

_DEFAULTS = ElectionSettings("any")
SECONDS_TO_END = (_DEFAULTS.lease_duration - _DEFAULTS.renew_deadline) * 4 / 5
"""From the deadline of runs to the end of the lease, as the elector has them by default."""


def living(signs: Path) -> frozenset[int]:
    """Return the processes that show that they live, by their command lines."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"{signs}/".encode() in path.read_bytes():
                found.add(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return frozenset(found)


@contextmanager
def busy_cores() -> Iterator[None]:
    """Keep every core busy, twice over."""
    pids = [
        os.posix_spawn("/bin/sh", ["sh", "-c", "while :; do :; done"], dict(os.environ))
        for _ in range(2 * usable_cpus())
    ]
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


async def operator_with_a_run(root: Path, engine: str) -> asyncio.subprocess.Process:
    """Return an operator that renews its lease, and whose run has come to its last task."""
    (root / "signs").mkdir(parents=True)
    environment = {"ENGINE": engine, "LEASE_SECONDS": str(DEADLINE_SECONDS)}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.engine_child", str(root), "shows_life.yml", "1", LAST_TASK,
        cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, env=os.environ | environment,
    )  # fmt: skip
    assert child.stdout is not None
    assert await child.stdout.readline() == f"{LAST_TASK}\n".encode()
    await eventually(lambda: {sign.name for sign in (root / "signs").iterdir()} == SIGNS, "all processes show life")
    return child


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize("engine", ["forkserver", "subprocess"])
async def test_no_process_lives_past_the_lease_of_a_stopped_operator(
    tmp_path: Path, engine: str, number: int, record_property: Callable[[str, object], None]
) -> None:
    root = tmp_path / str(number)
    signs = root / "signs"
    child = await operator_with_a_run(root, engine)
    try:
        with busy_cores():
            child.send_signal(signal.SIGSTOP)
            deadline = float((root / "deadline").read_text())
            await eventually(lambda: not living(signs), "every process has ended")
    finally:
        kill_until_gone(lambda: living(signs))
        child.kill()
        await child.wait()
    last = max(sign.stat().st_mtime for sign in signs.iterdir())
    record_property("seconds_from_deadline_to_last_sign_of_life", round(last - deadline, 3))
    assert last < deadline + SECONDS_TO_END
    assert last > deadline - DEADLINE_SECONDS, "they lived when the operator was stopped"
