from __future__ import annotations

import os
import select
import subprocess
import uuid
from collections.abc import Iterator

import pytest

from reconcile_runner.execution import processes
from reconcile_runner.execution.processes import (
    JOB_VARIABLE,
    ChildWatch,
    descendants_or_marked,
    kill_until_gone,
    living_descendants,
)
from tests.support import fresh
from tests.support.programs import SHELL, SLEEPER

JOB = f"job-{uuid.uuid4()}"
"""No other run of these tests on this machine has it."""


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """Return a shell with a child that has a child; it has said so when it is handed out."""
    script = """"$0" -c '"$@" & echo ready; wait' "$0" "$@" & wait"""
    marked = {**os.environ, JOB_VARIABLE: JOB}
    with subprocess.Popen([SHELL, "-c", script, SHELL, *SLEEPER], stdout=subprocess.PIPE, env=marked) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        yield shell
        kill_until_gone(lambda: living_descendants(shell.pid))
        shell.kill()


def test_descendants_of_every_generation_are_found(family: subprocess.Popen[bytes]) -> None:
    assert len(living_descendants(family.pid)) == 2
    assert living_descendants(family.pid) < living_descendants(os.getpid())


def test_a_process_that_carries_the_job_is_found_with_all_below_it(family: subprocess.Popen[bytes]) -> None:
    assert descendants_or_marked(JOB) == living_descendants(family.pid) | {family.pid}
    assert descendants_or_marked(f"{JOB}0") == frozenset()


def test_killing_goes_on_until_nothing_is_found(family: subprocess.Popen[bytes]) -> None:
    assert kill_until_gone(lambda: living_descendants(family.pid))
    assert living_descendants(family.pid) == frozenset()
    family.wait()


def test_a_zombie_has_ended() -> None:
    with subprocess.Popen([SHELL, "-c", ":"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert child.pid not in living_descendants(os.getpid())


def test_what_cannot_be_killed_is_given_up_on() -> None:
    assert kill_until_gone(lambda: frozenset({2**22 + 1}), timeout=0.01) is False


def test_nobody_has_no_descendants() -> None:
    assert living_descendants(2**22 + 1) == frozenset()


def end_an_orphan() -> list[bool]:
    """Adopt a child and a grandchild of a program that ended, and end both. Only in a process of its own."""
    processes.adopt_orphans()
    own = os.posix_spawn(SLEEPER[0], SLEEPER, {})
    program = """"$0" -c '"$@" & wait' "$0" "$@" >/dev/null & echo $!"""
    command = [SHELL, "-c", program, SHELL, *SLEEPER]
    orphan = int(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
    adopted = orphan in processes.children()
    ended = processes.end_orphans(frozenset({own}))
    left = processes.children() == living_descendants(os.getpid()) == {own}
    again = processes.end_orphans(frozenset({own}))
    kill_until_gone(lambda: living_descendants(os.getpid()))
    return [adopted, ended, left, again]


def test_orphans_are_ended_and_reaped_and_a_processs_own_children_live() -> None:
    assert fresh.call(end_an_orphan) == [True, True, True, False]


def see_children_end() -> list[bool]:
    """Watch for the end of two children, then stop watching. Only in a process of its own."""
    watch = ChildWatch()
    seen = []
    for _ in range(2):
        child = os.posix_spawn(SHELL, [SHELL, "-c", ":"], {})
        seen.append(bool(select.select([watch], [], [], 30)[0]))
        watch.clear()
        watch.clear()
        os.waitpid(child, 0)
        seen.append(bool(select.select([watch], [], [], 0)[0]))
    processes.stop_child_watch()
    os.waitpid(os.posix_spawn(SHELL, [SHELL, "-c", ":"], {}), 0)
    return [*seen, bool(select.select([watch], [], [], 0)[0])]


def test_the_end_of_a_child_is_seen_once() -> None:
    assert fresh.call(see_children_end) == [True, False, True, False, False]
