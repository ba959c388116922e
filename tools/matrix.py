"""Every supported pair of Python and ansible-core: ``make test-matrix``.

For each pair with an interpreter on this machine, an environment of its own (``.venvs/py3XX-core2.YY``, made once) and
in it the tests of what a pair can change: both engines, their equivalence, and that an object's values stay data.
Arguments choose pairs (``3.13-2.20``). Ends with a table, and with exit code 1 where a pair failed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.cores import SUPPORTED, NoInterpreterError, interpreter
from tests.support.paths import REPOSITORY

OLDEST_PYTHON = 11
NEWEST_PYTHON = 13
TESTS = ("tests/unit/execution", "tests/engine")


@dataclass(frozen=True, slots=True)
class Pair:
    """A Python 3 minor and an ansible-core."""

    minor: int
    core: str

    def __str__(self) -> str:
        """Return the pair as arguments name it."""
        return f"3.{self.minor}-{self.core}"

    @property
    def environment(self) -> Path:
        """Return where its environment is."""
        return REPOSITORY / ".venvs" / f"py3{self.minor}-core{self.core}"


def pairs() -> list[Pair]:
    """Return every pair that is supported."""
    return [
        Pair(minor, core)
        for core, (oldest, newest) in sorted(SUPPORTED.items())
        for minor in range(max(oldest, OLDEST_PYTHON), min(newest, NEWEST_PYTHON) + 1)
    ]


def test(pair: Pair) -> str:
    """Run the tests of a pair and return what became of it, in a few words."""
    try:
        python = _make_environment(pair)
    except NoInterpreterError as missing:
        return f"skipped: {missing}"
    # Some tests run on every core: here, on this one alone.
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", f"not 2. or {pair.core}", *TESTS]
    environment = {**os.environ, "PATH": f"{pair.environment / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False)
    return "passed" if done.returncode == 0 else f"FAILED (pytest ended with {done.returncode})"


def _make_environment(pair: Pair) -> str:
    python = str(pair.environment / "bin" / "python")
    stamp = pair.environment / "made"
    if stamp.exists():
        return python
    base = interpreter(pair.minor)
    say(f"{pair}: making {pair.environment.relative_to(REPOSITORY)} with {base}")
    shutil.rmtree(pair.environment, ignore_errors=True)
    subprocess.run([base, "-m", "venv", str(pair.environment)], check=True)
    for lock in (f"dev-py3{pair.minor}.txt", f"core-{pair.core}.txt"):
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*pip, "-r", str(REPOSITORY / "requirements" / lock)], check=True)
    stamp.touch()
    return python


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
    results: dict[str, str] = {}
    for name in wanted or known:
        say(f"=== Python and ansible-core {name}")
        results[name] = test(known[name])
    for name, result in results.items():
        say(f"{name:<12} {result}")
    return 1 if any(result.startswith("FAILED") for result in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
