"""Every supported pair of Python and ansible-core: ``make test-matrix``.

For each pair an environment of its own (``.venvs/py3XX-core2.YY``, made once), on a Python that is found, downloaded or
built (``tools.pythons``), and in it the tests of what a pair can change: both engines, their equivalence, and that an
object's values stay data. Each core has all of them on one Python, and on its others those that hold the engines
against each other. On the first, modules of the whole ``ansible`` wheel of that core run, too, as a row of their own.
Arguments choose pairs (``3.13-2.20``) and such rows (``3.13-2.20-wheel``).

Ends with a table, and with exit code 1 where a pair failed or did not run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from reconcile_runner.execution.forkserver.engine import TESTED_PYTHONS
from tests.support.cores import SUPPORTED
from tests.support.paths import REPOSITORY
from tools import pythons, wheels
from tools.environment import StepFailedError, run_step
from tools.pythons import NoInterpreterError

OLDEST_PYTHON: Final = 11
NEWEST_PYTHON: Final = 14

ALWAYS: Final = (11, 13)
"""The Pythons whose sources Debian's stable releases have: every machine can have them, so their pairs always run."""

ALL: Final = ("tests/unit/execution", "tests/engine")
"""What runs on one Python of each core."""

OF_A_PYTHON: Final = (
    "tests/unit/execution",
    "tests/engine/test_forkserver_corpus.py",
    "tests/engine/test_forkserver_modules.py",
    "tests/engine/test_unsafe_extravars.py",
)
"""What runs on a core's other Pythons."""

OF_A_WHEEL: Final = ("tests/wheel",)
"""What runs of a core's ``ansible`` wheel."""

FORKED_ON: Final = tuple(minor for _, minor in TESTED_PYTHONS)
"""The Pythons on which the engine ``forkserver`` is offered."""

WITHOUT_FORKS: Final = (
    "tests/engine/test_execution_names.py",
    "tests/engine/test_execution_outcomes.py",
    "tests/engine/test_unsafe_extravars.py",
)
"""What runs where it is not: the engine ``subprocess``."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A Python 3 minor and an ansible-core.

    ``of_wheel``: with all collections that are released with that core.
    """

    minor: int
    core: str
    of_wheel: bool = False

    def __str__(self) -> str:
        """Return the pair as arguments name it."""
        return f"3.{self.minor}-{self.core}{'-wheel' if self.of_wheel else ''}"

    @property
    def environment(self) -> Path:
        """Return where its environment is."""
        return REPOSITORY / ".venvs" / f"py3{self.minor}-core{self.core}"

    @property
    def tests(self) -> tuple[str, ...]:
        """Return what runs of the tests."""
        if self.of_wheel:
            return OF_A_WHEEL
        if self.minor not in FORKED_ON:
            return WITHOUT_FORKS
        return ALL if self.minor == minor_of_all(self.core) else OF_A_PYTHON


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a pair, in how many seconds, of which some went into its environment."""

    pair: str
    result: str
    passed: bool
    seconds: float
    preparing: float

    def __str__(self) -> str:
        """Return a line of the table."""
        return f"{self.pair:<16}{self.seconds:>7.0f} s{self.preparing:>9.0f} s  {self.result}"


def minors(core: str) -> list[int]:
    """Return the Pythons that a core is supported on."""
    oldest, newest = SUPPORTED[core]
    return list(range(max(oldest, OLDEST_PYTHON), min(newest, NEWEST_PYTHON) + 1))


def minor_of_all(core: str) -> int:
    """Return the Python on which a core has all tests."""
    return max(minor for minor in minors(core) if minor in ALWAYS)


def pairs() -> list[Pair]:
    """Return every pair that is supported, and each core with its wheel."""
    with_wheels = [Pair(minor_of_all(core), core, of_wheel=True) for core in sorted(SUPPORTED)]
    return [*(Pair(minor, core) for core in sorted(SUPPORTED) for minor in minors(core)), *with_wheels]


def obtainable(found: list[Pair]) -> list[Pair]:
    """Return the pairs without those whose Python nobody can provide here, which are told.

    The pairs of ``ALWAYS`` are always among them: where such a Python cannot be had, they have not run.
    """
    missing: set[int] = set()
    for minor in sorted({pair.minor for pair in found} - set(ALWAYS)):
        try:
            pythons.provide(minor)
        except NoInterpreterError as error:
            missing.add(minor)
            say(f"not on the list on this machine: every pair of Python 3.{minor}: {error}")
    return [pair for pair in found if pair.minor not in missing]


def test(pair: Pair) -> Row:
    """Run the tests of a pair and return what became of it."""
    begun = time.monotonic()
    try:
        python = _make_environment(pair)
        if pair.of_wheel:
            wheels.provide(pair.core, python)
    except (NoInterpreterError, EnvironmentNotMadeError, StepFailedError) as error:
        seconds = time.monotonic() - begun
        return Row(str(pair), f"NOT RUN: {error}", passed=False, seconds=seconds, preparing=seconds)
    preparing = time.monotonic() - begun
    # Some tests run on every core: here, on this one alone.
    command = [
        *(python, "-m", "pytest", "-q", "-n", "logical", "--maxprocesses=4", "--dist", "worksteal"),
        *("-p", "no:cacheprovider", "-k", f"not 2. or {pair.core}", *pair.tests),
    ]
    environment = {**os.environ, "PATH": f"{pair.environment / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False)
    result = "passed" if done.returncode == 0 else f"FAILED (pytest ended with {done.returncode})"
    return Row(str(pair), result, done.returncode == 0, time.monotonic() - begun, preparing)


class EnvironmentNotMadeError(Exception):
    """Packages of a pair could not be installed."""


def _make_environment(pair: Pair) -> str:
    python = str(pair.environment / "bin" / "python")
    locks = [REPOSITORY / "requirements" / f"{name}.txt" for name in (f"dev-py3{pair.minor}", f"core-{pair.core}")]
    stamp = pair.environment / "made"
    content = "".join(lock.read_text(encoding="utf-8") for lock in locks)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == content and Path(python).exists():
        return python
    base = pythons.provide(pair.minor)
    shutil.rmtree(pair.environment, ignore_errors=True)
    _step(f"{pair}: making an environment with {base}", [base, "-m", "venv", str(pair.environment)])
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    for lock in locks:
        _step(f"{pair}: installing {lock.name}", [*pip, "--require-hashes", "-r", str(lock)])
    project = ["--no-deps", "--no-build-isolation", "--no-index"]
    _step(
        f"{pair}: installing the project", [*pip, *project, "-e", str(REPOSITORY), "-e", str(REPOSITORY / "devcluster")]
    )
    stamp.write_text(content, encoding="utf-8")
    return python


def _step(what: str, command: list[str]) -> None:
    answer = run_step(what, command)
    if answer.returncode != 0:
        last = (answer.stdout.strip() or f"exit code {answer.returncode}").splitlines()[-1]
        raise EnvironmentNotMadeError(f"{what}: {last}")


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def main(wanted: list[str]) -> int:
    """Test the wanted pairs, or all; return the exit code."""
    known = {str(pair): pair for pair in pairs()}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        say(f"no such pair: {', '.join(unknown)}; there are {', '.join(known)}")
        return 2
    rows: list[Row] = []
    for pair in [known[name] for name in wanted] or obtainable(list(known.values())):
        say(f"=== Python and ansible-core {pair}")
        rows.append(test(pair))
    say(f"{'pair':<16}{'time':>9}{'preparing':>11}  result")
    for row in rows:
        say(str(row))
    say(f"{len(rows)} pairs in {sum(row.seconds for row in rows):.0f} s")
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
