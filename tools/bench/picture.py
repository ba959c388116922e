"""A report as a picture for the README: a panel for each of a few figures, a bar for each system. Plain SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from tools import svg
from tools.bench.report import Figure, Report, Section
from tools.bench.table import BASE, number, times_better


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
_LABELS, _VALUES = 150, 240
_COLOURS = (("#a0aec0", "#718096"), ("#2b6cb0", "#4299e1"), ("#2f855a", "#48bb78"), ("#b7791f", "#ecc94b"))
"""Of each system's bars: on a light page, and on a dark one."""


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
    shown = "; ".join(_in_words(panel.title, figure) for panel, figure in found)
    return svg.document(svg.Picture(_WIDTH, y + _TOP, "The engines side by side, by make bench", shown), body, _style())


def _in_words(title: str, figure: Figure) -> str:
    return f"{title}: " + ", ".join(f"{name} {number(value)} {figure.unit}" for name, value in figure.values.items())


def _find(report: Report, panel: Panel) -> Figure | None:
    return next((one for one in report.figures if (one.section, one.name) == (panel.section, panel.name)), None)


def _panel(title: str, figure: Figure, systems: Sequence[str], top: int) -> Iterator[str]:
    direction = "higher is better" if figure.unit.more_is_better else "lower is better"
    yield f'<text x="20" y="{top + 14}" class="name">{escape(title)}</text>'
    yield f'<text x="{_WIDTH - 20}" y="{top + 14}" class="note" text-anchor="end">{direction}</text>'
    longest = max(figure.values.values())
    space = _WIDTH - _LABELS - _VALUES
    y = top + _TITLE
    for index, system in enumerate(systems):
        if system not in figure.values:
            continue
        value = figure.values[system]
        length = max(2.0, space * value / longest) if longest > 0 else 2.0
        yield f'<text x="{_LABELS - 10}" y="{y + 17}" class="label" text-anchor="end">{escape(system)}</text>'
        shape = f'x="{_LABELS}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="3"'
        yield f'<rect {shape} class="bar{index % len(_COLOURS)}"/>'
        text = f"{number(value)} {figure.unit}"
        yield f'<text x="{_LABELS + length + 8:.1f}" y="{y + 17}" class="label">{escape(text)}</text>'
        times = times_better(figure, system) if system != BASE else None
        if times is not None and times > 1:
            yield f'<text x="{_LABELS + length + 100:.1f}" y="{y + 17}" class="name">{times:.1f} x better</text>'
        y += _BAR + _GAP


def _style() -> str:
    light = "".join(f".bar{index}{{fill:{light}}}" for index, (light, _) in enumerate(_COLOURS))
    dark = "".join(f".bar{index}{{fill:{dark}}}" for index, (_, dark) in enumerate(_COLOURS))
    return f"\n.label{{font-size:13.5px}}\n{light}\n@media (prefers-color-scheme: dark){{{dark}}}"
