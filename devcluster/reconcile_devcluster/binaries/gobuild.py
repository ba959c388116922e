"""Build the programs from Go modules: the source that works wherever a module proxy can be reached.

The last of `finder`'s sources. What is built is pinned by go.mod and go.sum, so a cached binary is never out of date.
"""

from __future__ import annotations

import subprocess
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from reconcile_devcluster.binaries import cache
from reconcile_devcluster.binaries.gotoolchain import find_go, go_environment
from reconcile_devcluster.errors import BinariesUnavailableError
from reconcile_devcluster.progress import Progress, say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from reconcile_devcluster.binaries.pins import GoProgram

_SIDE_BY_SIDE = 2
"""Go modules that are built at the same time."""

_ESTIMATE_AFTER = 15.0
"""Seconds of a build after which the rest can be estimated."""

_ERROR_LINES = 20
"""Lines of Go's output shown when it fails."""


def cached_path(program: GoProgram) -> Path:
    """Where the binary of a program is kept."""
    return cache.cache_root() / program.module.cache_name / program.name


def build(programs: Sequence[GoProgram]) -> dict[str, Path]:
    """Build what is not in the cache yet. Minutes the first time, with progress on stderr.

    Returns:
        Program name to path in the cache.

    Raises:
        BinariesUnavailableError: There is no Go, or it failed; the message holds its last lines.

    """
    go = find_go(max(program.module.go_version for program in programs))
    modules: dict[Path, list[GoProgram]] = {}
    for program in programs:
        modules.setdefault(cached_path(program).parent, []).append(program)
    # Modules side by side: while one downloads, or compiles its last big package, the other uses the processors.
    with ThreadPoolExecutor(max_workers=_SIDE_BY_SIDE, thread_name_prefix="go build") as pool:
        for building in [pool.submit(_build_module, go, each) for each in modules.values()]:
            building.result()
    return {program.name: cached_path(program) for program in programs}


def _build_module(go: Path, programs: Sequence[GoProgram]) -> None:
    """Build the programs of one module, one after the other: they share most packages."""
    for program in programs:
        path = cached_path(program)
        with cache.exclusive(path.parent):
            if not path.is_file():
                with cache.new_file(path) as temporary:
                    _build(go, program, temporary)


def _build(go: Path, program: GoProgram, target: Path) -> None:
    say(f"building {program.name} {program.module.version} with {go}; it is kept in {cache.cache_root()}")
    packages = _run(go, program, ["list", "-deps", program.package], f"{program.name}: downloading modules", "modules")
    # Nobody debugs these programs: without DWARF a build takes a ninth less.
    flags = ["-v", "-trimpath", "-gcflags=all=-dwarf=false", "-ldflags", program.ldflags]
    command = ["build", *flags, "-o", str(target), program.package]
    # Packages that an earlier build left in Go's own cache are not compiled again, so fewer may come.
    _run(go, program, command, f"{program.name}: compiling", f"of at most {packages} packages", expected=packages)


def _run(go: Path, program: GoProgram, arguments: list[str], what: str, unit: str, expected: int = 0) -> int:
    """Run Go in the module's directory; shows how many lines it has reported, returns how many it printed.

    Where it is known how many are `expected`, the seconds that are left are estimated.
    """
    with (
        Progress(what) as progress,
        subprocess.Popen(
            [str(go), *arguments],
            cwd=program.module.directory,
            env=go_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        lines, last = _follow(
            process, lambda count: progress.update(f"{count} {unit}{time_left(count, expected, progress.elapsed)}")
        )
    if process.returncode != 0:
        raise BinariesUnavailableError("\n".join([f"go {arguments[0]} failed for {program.name}:", *last]))
    return lines


def time_left(done: int, expected: int, elapsed: float) -> str:
    """Say in words how long the rest takes at the pace so far; nothing where that is not known yet."""
    if elapsed < _ESTIMATE_AFTER or not 0 < done < expected:
        return ""
    seconds = elapsed / done * (expected - done)
    # Minutes, because packages differ in size: a figure in seconds would jump.
    return f", about {seconds / 60:.0f} min left" if seconds >= 90 else ", about a minute left"  # noqa: PLR2004


def _follow(process: subprocess.Popen[str], report: Callable[[int], None]) -> tuple[int, list[str]]:
    """Read a process' output to its end.

    Returns:
        Number of lines that name a package, and the last lines of all.

    """
    last: deque[str] = deque(maxlen=_ERROR_LINES)
    printed = 0
    for reported, line in enumerate(process.stdout or (), start=1):
        last.append(line.rstrip())
        # `go list` prints packages, and `go: downloading …` while it works; `go build -v` prints packages.
        is_note = line.startswith("go: ")
        printed += 0 if is_note else 1
        report(reported)
    return printed, list(last)
