"""Says after each run of many tests where the time went: the slowest tests, and a table by module."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import pytest

SLOWEST = 25
_QUICK = 0.1
_FEW_MODULES = 4
"""A run of fewer is somebody's at work, who asks with ``--durations`` where need be."""

_seconds: defaultdict[str, float] = defaultdict(float)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[report.nodeid] += report.duration


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    modules: defaultdict[str, float] = defaultdict(float)
    tests: defaultdict[str, int] = defaultdict(int)
    for test, seconds in _seconds.items():
        module = test.partition("::")[0]
        modules[module] += seconds
        tests[module] += 1
    if len(modules) < _FEW_MODULES:
        return
    terminalreporter.section(f"slowest {SLOWEST} tests, with what they set up")
    for test, seconds in _longest_first(_seconds)[:SLOWEST]:
        terminalreporter.write_line(f"{seconds:8.2f} s  {test}")
    terminalreporter.section("time by module")
    quick = [module for module, seconds in modules.items() if seconds < _QUICK]
    for module, seconds in _longest_first(modules):
        if seconds >= _QUICK:
            terminalreporter.write_line(f"{seconds:8.2f} s  {tests[module]:5d}  {module}")
    took, number = sum(modules[module] for module in quick), sum(tests[module] for module in quick)
    terminalreporter.write_line(f"{took:8.2f} s  {number:5d}  {len(quick)} modules of less than {_QUICK} s each")


def _longest_first(seconds: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(seconds.items(), key=lambda item: item[1], reverse=True)
