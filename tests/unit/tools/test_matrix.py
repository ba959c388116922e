from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cores import SUPPORTED
from tools import matrix, pythons, wheels
from tools.environment import StepFailedError
from tools.matrix import ALL, OF_A_WHEEL, WITHOUT_FORKS, Pair, Row, obtainable, pairs
from tools.pythons import NoInterpreterError


def passed(pair: Pair) -> Row:
    return Row(str(pair), "passed", passed=True, seconds=2.0, preparing=1.0)


def test_each_core_has_all_tests_on_one_python_that_can_be_built_and_some_on_each() -> None:
    for core in SUPPORTED:
        of_core = [pair for pair in pairs() if pair.core == core]
        [full] = [pair for pair in of_core if pair.tests == ALL]
        assert full.minor in matrix.ALWAYS
        assert all(pair.tests for pair in of_core)


def test_each_core_has_a_row_for_all_collections_that_are_released_with_it() -> None:
    rows = [pair for pair in pairs() if pair.of_wheel]
    assert [pair.core for pair in rows] == sorted(SUPPORTED)
    assert {pair.tests for pair in rows} == {OF_A_WHEEL}
    assert {pair.minor for pair in rows} <= set(matrix.ALWAYS)
    assert str(rows[2]) == "3.13-2.18-wheel"


def test_a_wheel_that_cannot_be_had_is_red(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(core: str, _python: str) -> Path:
        raise StepFailedError(f"wheel-{core}.txt: could not be installed")

    monkeypatch.setattr(matrix, "_make_environment", lambda _pair: "python")
    monkeypatch.setattr(wheels, "provide", refuse)
    assert matrix.main(["3.13-2.21-wheel"]) == 1
    assert "NOT RUN: wheel-2.21.txt: could not be installed" in capsys.readouterr().out


def test_where_nothing_is_forked_the_other_engine_is_tested() -> None:
    assert Pair(14, "2.21").tests == WITHOUT_FORKS


def test_a_pair_that_did_not_run_is_red(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_minor: int) -> str:
        raise NoInterpreterError("the sources cannot be had")

    monkeypatch.setattr(pythons, "provide", refuse)
    assert matrix.main(["3.13-2.21"]) == 1
    assert "NOT RUN: the sources cannot be had" in capsys.readouterr().out


def test_the_table_has_a_line_with_the_time_of_each_pair(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(matrix, "test", passed)
    assert matrix.main(["3.11-2.18", "3.13-2.21"]) == 0
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "pair                 time  preparing  result",
        "3.11-2.18             2 s        1 s  passed",
        "3.13-2.21             2 s        1 s  passed",
        "2 pairs in 4 s",
    ]


def test_a_pair_that_failed_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "test", lambda pair: Row(str(pair), "FAILED", passed=False, seconds=1, preparing=0))
    assert matrix.main(["3.11-2.18"]) == 1


def test_an_unknown_pair_is_answered_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert matrix.main(["3.10-2.18"]) == 2
    assert "no such pair: 3.10-2.18; there are 3.11-2.16, " in capsys.readouterr().out


def test_a_python_that_nobody_can_provide_is_on_no_list_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(minor: int) -> str:
        raise NoInterpreterError(f"no Python 3.{minor}")

    monkeypatch.setattr(pythons, "provide", refuse)
    left = obtainable(pairs())
    assert {pair.minor for pair in left} == {11, 13}
    assert {pair.core for pair in left} == set(SUPPORTED)
    assert "every pair of Python 3.12: no Python 3.12" in capsys.readouterr().out


def test_a_python_of_this_machine_is_on_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pythons, "provide", lambda minor: f"/somewhere/python3.{minor}")
    assert obtainable(pairs()) == pairs()


def test_an_environment_is_in_the_checkout() -> None:
    assert Pair(13, "2.18").environment.name == "py313-core2.18"
    assert isinstance(Pair(13, "2.18").environment, Path)
