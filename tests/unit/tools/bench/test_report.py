from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.support.paths import REPOSITORY
from tests.unit.tools.bench.reports import report_of, sample_figures
from tools.bench.report import FORMAT, Figures, Section, Unit, read, this_machine


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    report = report_of(sample_figures())
    file = tmp_path / "report.json"
    file.write_text(report.model_dump_json())
    assert read(file) == report


def test_the_json_has_what_readers_count_on() -> None:
    written = json.loads(report_of(sample_figures()).model_dump_json())
    assert written["format"] == FORMAT
    assert written["load_before"] == [0.1, 0.2, 0.3]
    assert written["figures"][0] == {
        "section": "one event, idle system",
        "name": "Pod created -> happy, p50",
        "unit": "s",
        "values": {"subprocess": 3.0, "forkserver": 0.25},
        "samples": {"subprocess": 50, "forkserver": 50},
        "note": "a note",
    }


@pytest.mark.parametrize(
    "change", [{"figures": [{"name": "x"}]}, {"load_before": [1]}, {"weather": "fine"}], ids=["figure", "load", "extra"]
)
def test_another_shape_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    written = json.loads(report_of(sample_figures()).model_dump_json())
    file = tmp_path / "report.json"
    file.write_text(json.dumps(written | change))
    with pytest.raises(ValidationError):
        read(file)


def test_figures_come_section_by_section_and_in_their_order() -> None:
    figures = Figures()
    for section, name in ((Section.MEMORY, "m"), (Section.EVENT, "b"), (Section.EVENT, "a")):
        figures.add(section, name, Unit.SECONDS, "forkserver", 1.0)
    assert [figure.name for figure in figures.all()] == ["b", "a", "m"]


def test_this_machine_is_described() -> None:
    machine = this_machine()
    assert machine.cpus >= 1
    assert machine.ansible_core


@pytest.mark.parametrize(
    "file", sorted((REPOSITORY / "docs" / "benchmarks").glob("*.json")), ids=lambda file: file.name
)
def test_the_reports_in_the_documentation_can_be_read(file: Path) -> None:
    assert read(file).figures
