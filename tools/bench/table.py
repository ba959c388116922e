"""A report as a table of text: one row a figure, one column a system, and how many times better the last one is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table

from tools.bench.report import Figure, Report

BASE, BEST = "subprocess", "forkserver"
"""The two engines between which the last column is the ratio."""

_ABSENT = "-"

_WIDTH = 400
"""Columns a table may take: more than any takes, since a cut figure is worse than a long line."""


def render(report: Report) -> str:
    """Return the table, with the machine above it and the notes below."""
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for system in [*report.systems, "better by" if {BASE, BEST} <= set(report.systems) else ""]:
        table.add_column(system, justify="right", no_wrap=True)
    notes: list[str] = []
    for section, figures in groupby(report.figures, key=lambda figure: figure.section):
        table.add_row(str(section))
        for figure in figures:
            table.add_row(*_row(figure, report.systems, notes))
    return "\n".join([*_heading(report), "", *_lines(table), *(["", *notes] if notes else [])])


def _lines(table: Table) -> list[str]:
    console = Console(width=_WIDTH, color_system=None, markup=False, highlight=False, emoji=False)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def _heading(report: Report) -> list[str]:
    machine = report.machine
    load = " ".join(f"{one:.2f}" for one in report.load_before)
    where = f"{machine.cpus} cores, {machine.memory_gib} GiB, {machine.system}"
    versions = f"Python {machine.python}, ansible-core {machine.ansible_core}, ansible-runner {machine.ansible_runner}"
    return [
        f"{where}, {versions}",
        f"load average before: {load}; took {report.seconds / 60:.1f} min",
    ]


def _row(figure: Figure, systems: Sequence[str], notes: list[str]) -> list[str]:
    name = figure.name
    if figure.note:
        note = figure.note
        mark = next((index for index, known in enumerate(notes) if known.endswith(f"] {note}")), len(notes)) + 1
        if mark > len(notes):
            notes.append(f"[{mark}] {note}")
        name = f"{name} [{mark}]"
    cells = [number(figure.values[system]) if system in figure.values else _ABSENT for system in systems]
    return [f"  {name}", str(figure.unit), *cells, _ratio(figure)]


def _ratio(figure: Figure) -> str:
    times = times_better(figure, BEST)
    return f"{times:.1f} x" if times is not None else ""


def times_better(figure: Figure, system: str) -> float | None:
    """Return how many times better a system's figure is than the base's; None where either is absent or not above 0."""
    base, other = figure.values.get(BASE), figure.values.get(system)
    if not base or not other or base < 0 or other < 0:
        return None
    return other / base if figure.unit.more_is_better else base / other


def number(value: float) -> str:
    """Return a figure with three significant digits, and no exponent."""
    magnitude = abs(value)
    for limit, digits in ((100.0, 0), (10.0, 1), (1.0, 2), (0.01, 3)):
        if magnitude >= limit:
            return f"{value:.{digits}f}"
    return f"{value:.4f}" if value else "0"
