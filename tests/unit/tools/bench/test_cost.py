"""Costs of real processes: what they use is set by what they are told to do, never by how fast that is."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tools.bench.cost import ProcessTree

BUSY = "import time; end = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"
SECONDS = 0.3
SPENT = 0.29
"""A little less than what is spent: the kernel counts ended children in ticks."""

WAITS = "print('done', flush=True); input()"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY.format(seconds=SECONDS)!r}])\n"
GRANDCHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])\n"
WAITING_CHILD = "[sys.executable, '-c', 'input()']"
UNREAPED = (
    f"import os, subprocess, sys; one = subprocess.Popen([sys.executable, '-c', {BUSY.format(seconds=SECONDS)!r}])\n"
    "os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)\n"
)


@contextmanager
def program(text: str) -> Iterator[ProcessTree]:
    """Run a Python program until it has done its work and waits."""
    command = [sys.executable, "-c", text + WAITS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        yield ProcessTree(process.pid)
        process.communicate(b"\n", timeout=30)


@pytest.mark.parametrize(
    "text", [BUSY.format(seconds=SECONDS), CHILD, GRANDCHILD, UNREAPED], ids=["own", "child", "grandchild", "zombie"]
)
def test_counts_each_process_of_the_tree_once(text: str) -> None:
    with program(text) as tree, program("import subprocess\n") as idle:
        # Three starts of an interpreter at most; what was spent on purpose, counted twice, would be seen.
        starts = 4 * idle.cpu_seconds()
        assert SPENT <= tree.cpu_seconds() <= SECONDS * 1.5 + starts


def test_a_tree_holds_its_descendants_and_nobody_else() -> None:
    with program(f"import subprocess, sys; one = subprocess.Popen({WAITING_CHILD}, stdin=subprocess.PIPE)\n") as tree:
        assert len(tree.pids()) == 2
        assert os.getpid() not in tree.pids()


def test_memory_of_a_second_process_is_added() -> None:
    ready = "[sys.executable, '-c', 'x = bytearray(20_000_000); print(1, flush=True); input()']"
    start = f"one = subprocess.Popen({ready}, stdin=subprocess.PIPE, stdout=subprocess.PIPE); one.stdout.readline()"
    with program("import subprocess, sys\n") as tree:
        alone = tree.pss_megabytes()
    with program(f"import subprocess, sys; {start}\n") as tree:
        assert tree.pss_megabytes() > alone + 15


async def test_a_tree_that_does_nothing_is_quiet() -> None:
    with program("") as tree:
        await tree.settle(30)


async def test_a_tree_that_stays_busy_is_an_error() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "while True: pass")
    try:
        with pytest.raises(TimeoutError, match=f"process {process.pid} .* still busy"):
            await ProcessTree(process.pid).settle(0.1)
    finally:
        process.kill()
        await process.wait()


async def test_a_tree_that_does_a_little_all_the_time_is_busy_in_a_long_window() -> None:
    code = """
import time
while True:
    begun = time.process_time()
    while time.process_time() < begun + 0.005:
        pass
    time.sleep(0.1)
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    try:
        with pytest.raises(TimeoutError, match="still busy"):
            await ProcessTree(process.pid).settle(0.1, window=2.0)
    finally:
        process.kill()
        await process.wait()


def test_a_process_that_is_gone_costs_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(30)
    assert ProcessTree(process.pid).cpu_seconds() == 0.0
    assert ProcessTree(process.pid).pss_megabytes() == 0.0
