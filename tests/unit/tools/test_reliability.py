"""The promises: each has tests that are there, the page says what the file says, and a failed test is counted so."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY
from tools.reliability import PAGE, Outcome, Promise, outcomes, page, read


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    at_top = {node.name for node in tree.body if isinstance(node, functions)}
    in_classes = {
        f"{outer.name}::{node.name}"
        for outer in tree.body
        if isinstance(outer, ast.ClassDef)
        for node in outer.body
        if isinstance(node, functions)
    }
    return at_top | in_classes


@pytest.mark.parametrize("promise", read(), ids=lambda promise: promise.promise[:60])
def test_each_promise_has_tests_that_are_there(promise: Promise) -> None:
    assert promise.tests
    for test in promise.tests:
        path, _, name = test.partition("::")
        assert name in names_in(REPOSITORY / path)


def test_the_page_says_what_the_file_says() -> None:
    assert page(read()) == PAGE.read_text("utf-8"), "python -m tools.reliability --page"


REPORT = """<testsuites><testsuite>
<testcase classname="tests.unit.test_a" name="test_one[1]" time="0.5"/>
<testcase classname="tests.unit.test_a" name="test_one[2]" time="0.25"><failure/></testcase>
<testcase classname="tests.unit.test_a.TestB" name="test_two" time="1"><skipped/></testcase>
</testsuite></testsuites>"""


def test_what_failed_or_was_skipped_has_not_passed_and_what_did_not_run_is_none(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    named = ["test_a.py::test_one", "test_a.py::TestB::test_two", "test_a.py::test_three"]
    promises = [Promise("", "", "", "", (f"tests/unit/{test}",)) for test in named]
    assert outcomes(promises, report) == [Outcome(1, 2, 0.75), Outcome(0, 1, 1.0), Outcome(0, 0, 0.0)]
