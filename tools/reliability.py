"""What is promised under faults, load and attack, and whether the tests show it: `make reliability`.

The promises are in `tests/promises.toml`. Without an argument their tests run, and a table says of each promise what a
peer promises, what is promised here, and how many of its tests passed; the exit code is pytest's. `--page` writes
docs/reliability.md, which says the same without a run.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from rich.console import Console
from rich.table import Table

from tools.environment import ROOT

PROMISES: Final = ROOT / "tests" / "promises.toml"
PAGE: Final = ROOT / "docs" / "reliability.md"

_INTRODUCTION: Final = """# Reliability

What you may count on under faults, load and attack; what peers promise in the same place; and the tests that show it.
`make reliability` runs these tests and prints this table with their outcome. [Security](../SECURITY.md) has the threat
model, and what is not defended; [limits](limits.md) what is bounded.

This page is made from `tests/promises.toml` by `python -m tools.reliability --page`.
"""


@dataclass(frozen=True)
class Promise:
    """One promise. ``peer`` says whose figure is beside ``ours``; ``tests`` are named as pytest names them."""

    area: str
    promise: str
    peer: str
    ours: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How many of a promise's tests passed, of how many that ran, parameters counted, and their seconds."""

    passed: int
    ran: int
    seconds: float


def read(path: Path = PROMISES) -> list[Promise]:
    """Return the promises in their order."""
    entries = tomllib.loads(path.read_text("utf-8"))["promise"]
    return [Promise(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries]


def page(promises: list[Promise]) -> str:
    """Return docs/reliability.md."""
    parts = [_INTRODUCTION]
    for area, each in itertools.groupby(promises, lambda promise: promise.area):
        rows = [f"| {one.promise} | {one.peer} | {one.ours} | {_links(one)} |" for one in each]
        parts.append(
            "\n".join([f"\n## {area}\n", "| Promise | Peer | Here | Shown by |", "|---|---|---|---|", *rows, ""])
        )
    return "".join(parts)


def _links(promise: Promise) -> str:
    counted = Counter(test.partition("::")[0] for test in promise.tests)
    return ", ".join(f"[{Path(path).stem}](../{path}) ({number})" for path, number in counted.items())


def outcomes(promises: list[Promise], report: Path) -> list[Outcome]:
    """Return the outcome of each promise from a report in JUnit's format. A test that was skipped has not passed."""
    cases: dict[str, list[ET.Element]] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - written by pytest, just now
        name = case.get("name", "").partition("[")[0]
        cases.setdefault(f"{case.get('classname', '')}.{name}", []).append(case)
    return [_outcome([case for test in promise.tests for case in cases.get(_dotted(test), [])]) for promise in promises]


def _dotted(test: str) -> str:
    path, *names = test.split("::")
    return ".".join([path.removesuffix(".py").replace("/", "."), *names])


def _outcome(cases: list[ET.Element]) -> Outcome:
    passed = [case for case in cases if not any(child.tag in {"failure", "error", "skipped"} for child in case)]
    return Outcome(len(passed), len(cases), sum(float(case.get("time", 0)) for case in cases))


def _run(promises: list[Promise], arguments: list[str]) -> int:
    tests = sorted({test for promise in promises for test in promise.tests})
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-m", "", f"--junitxml={report}", *arguments, *tests]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if report.exists():
            _print(promises, outcomes(promises, report))
    return code


def _print(promises: list[Promise], found: list[Outcome]) -> None:
    table = Table("area", "promise", "peer", "here", "tests", "seconds")
    for promise, outcome in zip(promises, found, strict=True):
        held = outcome.passed == outcome.ran > 0
        shown = f"{outcome.passed} of {outcome.ran}"
        table.add_row(
            promise.area, promise.promise, promise.peer, promise.ours,
            shown if held else f"[bold red]{shown}[/]", f"{outcome.seconds:.1f}",
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def main(arguments: list[str]) -> int:
    """Run the tests, or write the page (``--page``); further arguments are pytest's."""
    if arguments == ["--page"]:
        PAGE.write_text(page(read()), encoding="utf-8")
        return 0
    return _run(read(), arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
