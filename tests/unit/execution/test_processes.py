from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from reconcile_runner.execution.processes import (
    JOB_VARIABLE,
    descendants_or_marked,
    kill_until_gone,
    living_descendants,
)


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """Return a shell with a child that has a child; it has said so when it is handed out."""
    script = "sh -c 'sleep 1000 & echo ready; wait' & wait"
    marked = {**os.environ, JOB_VARIABLE: "job-7"}
    with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, env=marked) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        yield shell
        kill_until_gone(lambda: living_descendants(shell.pid))
        shell.kill()


def test_descendants_of_every_generation_are_found(family: subprocess.Popen[bytes]) -> None:
    assert len(living_descendants(family.pid)) == 2
    assert living_descendants(family.pid) < living_descendants(os.getpid())


def test_a_process_that_carries_the_job_is_found_with_all_below_it(family: subprocess.Popen[bytes]) -> None:
    assert descendants_or_marked("job-7") == living_descendants(family.pid) | {family.pid}
    assert descendants_or_marked("job-70") == frozenset()


def test_killing_goes_on_until_nothing_is_found(family: subprocess.Popen[bytes]) -> None:
    assert kill_until_gone(lambda: living_descendants(family.pid))
    assert living_descendants(family.pid) == frozenset()
    family.wait()


def test_a_zombie_has_ended() -> None:
    with subprocess.Popen(["true"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert child.pid not in living_descendants(os.getpid())


def test_what_cannot_be_killed_is_given_up_on() -> None:
    assert kill_until_gone(lambda: frozenset({2**22 + 1}), patience=0.01) is False


def test_nobody_has_no_descendants() -> None:
    assert living_descendants(2**22 + 1) == frozenset()
