"""A report as a table of text: one row a figure, one column a system, and how many times better the last one is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tools.bench.report import Figure, Report

BASE, BEST = "subprocess", "forkserver"
"""The two engines between which the last column is the ratio."""

_ABSENT = "-"


def render(report: Report) -> str:
    """Return the table, with the machine above it and the notes below."""
    header = ["", "unit", *report.systems, "better by" if {BASE, BEST} <= set(report.systems) else ""]
    rows: list[list[str] | str] = [header]
    notes: list[str] = []
    for section, figures in groupby(report.figures, key=lambda figure: figure.section):
        rows.append(str(section))
        rows.extend(_row(figure, report.systems, notes) for figure in figures)
    return "\n".join([*_heading(report), "", *_aligned(rows), *(["", *notes] if notes else [])])


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


def _aligned(rows: Sequence[list[str] | str]) -> list[str]:
    widths = [max(column) for column in zip(*(map(len, row) for row in rows if isinstance(row, list)), strict=True)]
    lines = []
    for row in rows:
        if isinstance(row, str):
            lines.append(row)
            continue
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths, strict=False)]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join([*left, *right]).rstrip())
    return lines
