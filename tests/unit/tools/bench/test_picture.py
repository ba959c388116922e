from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from tests.support.paths import REPOSITORY
from tests.unit.tools.bench.reports import report_of, sample_figures
from tools.bench import picture, report
from tools.bench.report import Figures, Section, Unit

SVG = "{http://www.w3.org/2000/svg}"


def drawn(figures: Figures) -> ET.Element:
    text = picture.render(report_of(figures))
    assert text is not None
    return ET.fromstring(text)  # noqa: S314 - our own text


def bars(root: ET.Element) -> list[float]:
    return [float(bar.attrib["width"]) for bar in root.iter(f"{SVG}rect") if "rx" in bar.attrib]


def test_draws_a_bar_for_each_system_in_proportion() -> None:
    event, event_fast, burst, burst_fast = bars(drawn(sample_figures()))
    assert event_fast / event == pytest.approx(0.25 / 3.0, abs=0.001)
    assert burst / burst_fast == pytest.approx(0.5 / 10.0, abs=0.001)


def test_says_each_figure_and_whose_it_is() -> None:
    words = [element.text for element in drawn(sample_figures()).iter(f"{SVG}text")]
    assert {"subprocess", "forkserver", "3.00 s", "0.250 s", "0.500 runs/s", "10.0 runs/s"} <= set(words)


def test_says_how_many_times_better_and_which_direction_is_better() -> None:
    words = [element.text for element in drawn(sample_figures()).iter(f"{SVG}text")]
    assert [word for word in words if word and word.endswith("better")] == [
        "lower is better",
        "12.0 x better",
        "higher is better",
        "20.0 x better",
    ]


def test_a_figure_that_is_worse_has_no_factor() -> None:
    figures = Figures()
    for system, value in (("subprocess", 1.0), ("forkserver", 2.0)):
        figures.add(Section.EVENT, "Pod created -> happy, p50", Unit.SECONDS, system, value)
    assert not [element for element in drawn(figures).iter(f"{SVG}text") if "x better" in (element.text or "")]


def test_has_colours_for_a_dark_page() -> None:
    text = picture.render(report_of(sample_figures()))
    assert text is not None
    assert ".bar1{fill:#4299e1}" in text.rpartition("prefers-color-scheme: dark")[2]


def test_everything_is_within_the_picture() -> None:
    root = drawn(sample_figures())
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for bar in root.iter(f"{SVG}rect"):
        assert float(bar.get("x", "0")) + float(bar.attrib["width"]) <= width
        assert float(bar.get("y", "0")) + float(bar.attrib["height"]) <= height


def test_markup_in_a_name_stays_text() -> None:
    figures = Figures()
    figures.add(Section.EVENT, "x", Unit.SECONDS, "subprocess", 1.0)
    panels = [picture.Panel(Section.EVENT, "x", "a <b> & c")]
    text = picture.render(report_of(figures), panels)
    assert text is not None
    assert "a &lt;b&gt; &amp; c" in text


def test_the_committed_picture_is_of_the_committed_figures() -> None:
    figures = REPOSITORY / "docs" / "benchmarks" / "benchmark.json"
    assert figures.with_suffix(".svg").read_text() == picture.render(report.read(figures)), "`make pictures` draws it"


def test_nothing_to_draw_is_no_picture() -> None:
    assert picture.render(report_of(Figures())) is None
