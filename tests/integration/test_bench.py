"""The benchmarks work from end to end, in amounts too small to mean anything."""

from __future__ import annotations

import asyncio
import math
import sys
from pathlib import Path

import pytest

from reconcile_runner.options import EngineName
from tools.bench import picture, suite, table
from tools.bench.baseline import BARE
from tools.bench.report import Section
from tools.bench.system import DIRECT, PEER

pytestmark = [pytest.mark.timeout(600), pytest.mark.exhaustive]


def test_every_system_has_a_figure_in_every_row_that_concerns_it(tmp_path: Path) -> None:
    peer = tmp_path / "peer"
    peer.write_text(f'#!/bin/sh\nexec {sys.executable} -m reconcile_runner "$@"\n')
    peer.chmod(0o755)
    report = asyncio.run(suite.compare(suite.QUICK, peer))
    engines = set(EngineName)
    measured = {(figure.section, figure.name): set(figure.values) for figure in report.figures}
    assert {section for section, _ in measured} == set(Section) - {Section.GROWTH}
    assert measured[Section.EVENT, "Foo created -> status, p50"] == engines | {PEER}
    assert measured[Section.EVENT, "Pod created -> happy, p99"] == engines
    assert measured[Section.BURST, f"{suite.QUICK.small_burst} Foos created at once"] == engines | {PEER}
    assert measured[Section.BASELINE, "one run of roles/foo"] == engines | {BARE}
    assert measured[Section.PROXY, "one run of roles/foo"] == {EngineName.FORKSERVER, DIRECT.name}
    assert measured[Section.DEATH, "client killed: until nothing is alive"] == {EngineName.FORKSERVER}
    assert measured[Section.DEATH, "operator killed: until nothing is alive"] == {EngineName.FORKSERVER}
    assert measured[Section.NOOP, "run, each task (k8s_info)"] == engines
    assert measured[Section.STARTUP, f"{suite.QUICK.existing} Foos: until ready"] == engines
    assert all(math.isfinite(value) for figure in report.figures for value in figure.values.values())
    assert str(Section.PHASES) in table.render(report)
    assert picture.render(report)


def test_growth_is_measured_at_every_size() -> None:
    report = asyncio.run(suite.scale(suite.QUICK))
    assert {figure.section for figure in report.figures} == {Section.GROWTH}
    assert all(set(figure.values) == set(report.systems) for figure in report.figures)
    assert len(report.systems) == len(suite.QUICK.growth)
