from __future__ import annotations

import pytest

from tests.unit.tools.bench.reports import report_of, sample_figures
from tools.bench import table
from tools.bench.report import Figures, Section, Unit


def test_shows_machine_sections_figures_and_notes() -> None:
    assert (
        table.render(report_of(sample_figures()))
        == """\
2 cores, 24 GiB, Debian GNU/Linux 12, Python 3.11.7, ansible-core 2.19.14, ansible-runner 2.4.3
load average before: 0.10 0.20 0.30; took 1.5 min

                                 unit    subprocess  forkserver  better by
one event, idle system
  Pod created -> happy, p50 [1]  s             3.00       0.250     12.0 x
many Foos at once
  20 Foos created at once        runs/s       0.500        10.0     20.0 x

[1] a note"""
    )


def test_a_system_that_was_not_measured_has_no_figure() -> None:
    figures = Figures()
    figures.add(Section.BURST, "500 Foos", Unit.RUNS_PER_SECOND, "forkserver", 10.0)
    line = table.render(report_of(figures)).splitlines()[-1]
    assert line.split() == ["500", "Foos", "runs/s", "-", "10.0"]


def test_rows_with_the_same_note_share_its_number() -> None:
    figures = Figures()
    for name, note in (("a", "one"), ("b", "two"), ("c", "one")):
        figures.add(Section.EVENT, name, Unit.SECONDS, "forkserver", 1.0, note=note)
    text = table.render(report_of(figures))
    assert all(mark in text for mark in ("a [1]", "b [2]", "c [1]", "[1] one", "[2] two"))
    assert "[3]" not in text


def test_where_the_engines_are_not_compared_nothing_is_better() -> None:
    figures = Figures()
    figures.add(Section.GROWTH, "x", Unit.SECONDS, "10 Foos", 1.0)
    assert "better" not in table.render(report_of(figures, ("10 Foos",)))


@pytest.mark.parametrize("value", [0.0, -0.5], ids=["nothing", "noise below nothing"])
def test_what_cannot_be_compared_has_no_ratio(value: float) -> None:
    figures = Figures()
    figures.add(Section.EVENT, "x", Unit.SECONDS, "subprocess", 1.0)
    figures.add(Section.EVENT, "x", Unit.SECONDS, "forkserver", value)
    assert not table.render(report_of(figures)).endswith("x")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.00123, "0.0012"),
        (0.0456, "0.046"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (1234.5, "1234"),
        (-2.0, "-2.00"),
    ],
    ids=str,
)
def test_numbers_are_short_and_without_exponents(value: float, text: str) -> None:
    assert table.number(value) == text
