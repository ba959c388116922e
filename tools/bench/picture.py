"""A report as a picture for the README: a panel for each of a few figures, a bar for each system. Plain SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from tools.bench.report import Figure, Report, Section
from tools.bench.table import number


@dataclass(frozen=True, slots=True)
class Panel:
    """What a panel shows: the figure of this name, under this title."""

    section: Section
    name: str
    title: str


PANELS = (
    Panel(Section.EVENT, "Pod created -> happy, p50", "Pod created → Foo happy, median"),
    Panel(Section.BURST, "20 Foos created at once", "20 Foos created at once"),
    Panel(Section.BURST, "20 Foos: CPU per run", "CPU per run, all processes"),
)

_WIDTH, _TITLE, _BAR, _GAP, _PANEL_GAP, _TOP = 760, 26, 24, 8, 24, 20
_LABELS, _VALUES = 150, 130
_COLOURS = ("#a0aec0", "#2b6cb0", "#2f855a", "#b7791f")


def render(report: Report, panels: Sequence[Panel] = PANELS) -> str | None:
    """Return the SVG document. Panels whose figure was not measured are left out; None where none was."""
    found = [(panel, figure) for panel in panels if (figure := _find(report, panel)) is not None]
    if not found:
        return None
    body: list[str] = []
    y = _TOP
    for panel, figure in found:
        body.extend(_panel(panel.title, figure, report.systems, y))
        y += _TITLE + len(figure.values) * (_BAR + _GAP) + _PANEL_GAP
    machine = report.machine
    where = f"{machine.cpus} cores, {machine.memory_gib} GiB, {machine.system}, ansible-core {machine.ansible_core}"
    body.append(
        f'<text x="20" y="{y}" class="note">{escape(where)}; load average before: {report.load_before[0]:.1f}</text>'
    )
    return _document(body, y + _TOP)


def _find(report: Report, panel: Panel) -> Figure | None:
    return next((one for one in report.figures if (one.section, one.name) == (panel.section, panel.name)), None)


def _panel(title: str, figure: Figure, systems: Sequence[str], top: int) -> Iterator[str]:
    yield f'<text x="20" y="{top + 14}" class="title">{escape(title)} ({escape(figure.unit)})</text>'
    longest = max(figure.values.values())
    space = _WIDTH - _LABELS - _VALUES
    y = top + _TITLE
    for index, system in enumerate(systems):
        if system not in figure.values:
            continue
        value = figure.values[system]
        length = max(2.0, space * value / longest) if longest > 0 else 2.0
        yield f'<text x="{_LABELS - 10}" y="{y + 17}" class="name">{escape(system)}</text>'
        colour = _COLOURS[index % len(_COLOURS)]
        yield f'<rect x="{_LABELS}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="3" fill="{colour}"/>'
        text = f"{number(value)} {figure.unit}"
        yield f'<text x="{_LABELS + length + 8:.1f}" y="{y + 17}" class="value">{escape(text)}</text>'
        y += _BAR + _GAP


def _document(body: Sequence[str], height: int) -> str:
    style = (
        ".title{font-weight:600;fill:#1a202c}.name{fill:#2d3748;text-anchor:end}.value{fill:#2d3748}"
        ".note{font-size:11.5px;fill:#4a5568}"
    )
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        ' font-family="system-ui, sans-serif" font-size="14" role="img" aria-labelledby="t">'
    )
    return "\n".join(
        [
            opening,
            '<title id="t">Measured by make bench: the engines side by side</title>',
            f"<style>{style}</style>",
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            *body,
            "</svg>",
            "",
        ]
    )
