from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tools.bench.cost import ProcessTree
from tools.bench.system import System, SystemSpec
from tools.testing.operator import OperatorProcessError, started


@contextmanager
def system(program: str) -> Iterator[System]:
    with started([sys.executable, "-c", program], {}) as process:
        yield System(SystemSpec("peer"), "ns", process, ProcessTree(process.process.pid), time.monotonic())


async def test_work_goes_on_while_the_system_lives() -> None:
    async def work() -> int:
        return 7

    with system("import time; time.sleep(60)") as living:
        assert await living.while_alive(work()) == 7
        living.process.process.kill()


async def test_a_system_that_ends_is_an_error_with_its_last_words() -> None:
    program = "import sys; print('no such flag', file=sys.stderr); sys.exit(3)"
    expected = pytest.raises(OperatorProcessError, match="peer ended with 3: no such flag")
    with system(program) as dying, expected:
        await dying.while_alive(asyncio.Event().wait())


async def test_an_error_of_the_work_is_its_own() -> None:
    async def work() -> None:
        raise LookupError("gone")

    with system("import time; time.sleep(60)") as living:
        with pytest.raises(LookupError, match="gone"):
            await living.while_alive(work())
        living.process.process.kill()
